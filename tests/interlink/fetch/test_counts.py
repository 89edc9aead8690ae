"""What is shown of a source list holds no secrets of its URLs."""

from __future__ import annotations

from pathlib import Path

from interlink.fetch.counts import SourceCounts
from interlink.stages.collect import SourceSettings, scan


def test_examples_of_repeats_comments_and_bad_lines_are_redacted(tmp_path: Path) -> None:
    url = "https://cdn.example.org/v.mp4?token=CANARY&X-Amz-Signature=CANARY"
    (tmp_path / "l.txt").write_text(f"{url}\n{url}\n# {url}\nhttps://CANARY:CANARY@example.org/v.mp4\n")
    counts = SourceCounts()
    rows = list(scan(SourceSettings(path=str(tmp_path / "l.txt")), counts))
    assert (counts.items, counts.repeats, counts.unreadable, counts.comments) == (1, 1, 1, 1)
    assert "CANARY" not in str(counts.json()) and "CANARY" not in str([row.message for row in rows])
