"""What is shown of a source list holds no secrets of its URLs."""

from __future__ import annotations

from pathlib import Path

from interlink.fetch.columns import find_columns
from interlink.fetch.counts import SourceCounts, described
from interlink.stage import Row
from interlink.stages.collect import SourceSettings, scan


def test_examples_of_repeats_comments_and_bad_lines_are_redacted(tmp_path: Path) -> None:
    url = "https://cdn.example.org/v.mp4?token=CANARY&X-Amz-Signature=CANARY"
    (tmp_path / "l.txt").write_text(f"{url}\n{url}\n# {url}\nhttps://CANARY:CANARY@example.org/v.mp4\n")
    counts = SourceCounts()
    rows = list(scan(SourceSettings(path=str(tmp_path / "l.txt")), counts))
    assert (counts.items, counts.repeats, counts.unreadable, counts.comments) == (1, 1, 1, 1)
    assert "CANARY" not in str(counts.json()) and "CANARY" not in str([row.message for row in rows])


def test_entries_are_items_joined_repeats_and_unreadable_ones() -> None:
    counts = SourceCounts()
    given = [
        Row("a", {"path": "", "uri": "u1"}),
        Row("a", {"path": "p2", "uri": "u2"}),
        Row("a", {"path": "", "uri": "u3"}),
        Row("b", {"path": "", "uri": "u4"}, partial=True, message="guessed"),
        Row("c", status="failed", error_class="bad", message="line 5"),
        Row("c", {"path": "", "uri": "u6"}),
        Row("d", status="failed", error_class="bad", message="line 7"),
    ]
    counts.add("joined", "j1")
    counts.add("joined", "j2")
    counts.add("comments", "x" * 300)
    assert list(counts.count(iter(given))) == given
    assert counts.json() == {
        "entries": 9,
        "items": 2,
        "joined": 2,
        "repeats": 3,
        "unreadable": 2,
        "comments": 1,
        "uncertain": 1,
        "examples": {
            "joined": "j1",
            "comments": "x" * 200,
            "repeats": "p2",
            "uncertain": "guessed",
            "unreadable": "line 5",
        },
    }
    assert described(counts.json()) == (
        "source: 9 entries -> 2 items, 2 joined with the item of their picture (for example j1), "
        "3 repeats (for example p2), 2 unreadable (for example line 5), "
        "1 of the items uncertain (for example guessed), "
        f"1 comment lines left out (for example {'x' * 200})"
    )
    assert described(SourceCounts(entries=1, items=1).json()) == "source: 1 entry -> 1 item"


def test_columns_are_found_as_named_then_exactly_then_without_case_and_spaces() -> None:
    usual = {"url": ("url", "link"), "text": ("caption", "text")}
    assert find_columns(["link", "URL", "text"], usual, {}) == {"url": "link", "text": "text"}
    assert find_columns(["Link", "U R L", "Te-xt", "text"], {"text": ("te_xt",)}, {}) == {"text": "Te-xt"}
    assert find_columns([" URL ", "url-", "x"], usual, {}) == {"url": " URL "}  # the first of two alike
    assert find_columns(["url", "x"], usual, {"url": "x"}) == {"url": "x"}
    assert find_columns(["url", "x"], usual, {"url": "y", "text": "x"}) == {"text": "x"}
    assert find_columns([], usual, {"url": ""}) == {}
