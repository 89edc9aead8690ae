"""What stages count in their rows, for the summary of a partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import pytest

from interlink.settings import Settings
from interlink.stage import Context, Item, PerItem, Row
from interlink.stages import STAGES, amounts, stage_class
from interlink.storage import Storage

CONTEXT = Context(Storage("/nowhere"))
CLIPS = [{"frames": [{}, {}]}, {"frames": [{}]}]


class Bare(PerItem):
    """A third-party stage that counts nothing."""

    name: ClassVar[str] = "bare"
    settings_class: ClassVar[type[Settings]] = Settings

    def process(self, item: Item) -> Row:
        return Row(item.id)


class Counting(Bare):
    @staticmethod
    def amounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        return {"rows": len(rows)}


@pytest.mark.parametrize(
    ("name", "rows", "counts"),
    [
        ("keyframes", [{"clips": CLIPS}], {"clips": 2, "frames": 3}),
        ("ocr", [{"lines": [{}, {}]}, {"lines": [{}]}], {"lines": 3}),
        ("regions", [{"frames": [{"regions": [{}, {}]}, {"regions": []}]}], {"regions": 2}),
        (
            "caption",
            [{"clips": [{"flag": "", "tokens": 4}, {"flag": "no_frames", "tokens": None}]}],
            {"clips": 2, "tokens": 4},
        ),
        (
            "caption",
            [{"clips": [{"flag": "unfamiliar", "tokens": 4}] * 2}],
            {"clips": 2, "tokens": 8, "flagged unfamiliar": 2},
        ),
        (
            "narrate",
            [{"clips": [{"flag": "names,long"}, {"flag": "long"}, {"flag": ""}]}],
            {"flagged long": 2, "flagged names": 1},
        ),
        ("transcribe", [{"sentences": [{}]}], {}),
        (
            "transcribe",
            [{"heard": [{"kept": True, "reason": ""}, {"kept": False, "reason": "no_speech"}]}],
            {"stretches": 2, "stretches no_speech": 1},
        ),
    ],
)
def test_only_rows_that_are_ok_count(name: str, rows: list[dict[str, Any]], counts: dict[str, int]) -> None:
    ok = [{**row, "status": "ok"} for row in rows]
    found = stage_class(name).amounts([*ok, dict.fromkeys(rows[0]) | {"status": "failed"}])
    assert list(found.items()) == list(counts.items())


def test_what_is_left_out_of_dropped_videos_counts_too() -> None:
    document = {"clips": 2, "images": [{}, {}, {}], "text_tokens": 9}
    left = [{"what": "clip", "reason": "dark"}, {"what": "frame", "reason": "image_budget"}]
    rows = [
        {"status": "ok", "documents": [document, document], "left_out": left},
        {"status": "dropped", "documents": [], "left_out": left[:1]},
        {"status": "failed", "documents": None, "left_out": None},
    ]
    assert stage_class("interleave").amounts(rows) == {
        "documents": 2,
        "clips": 4,
        "frames": 6,
        "text_tokens": 18,
        "clips dark": 2,
        "frames image_budget": 1,
    }


def test_a_class_under_the_name_of_a_built_in_stage_is_counted_like_it_unless_it_counts_itself() -> None:
    rows = [{"status": "ok", "clips": CLIPS}]
    bare, counting = Bare(Settings(), CONTEXT), Counting(Settings(), CONTEXT)
    assert "keyframes" in STAGES
    assert amounts("keyframes", bare, rows) == {"clips": 2, "frames": 3}
    assert amounts("keyframes", counting, rows) == {"rows": 1}
    assert amounts("bare", bare, rows) == {}
    assert amounts("bare", counting, rows) == {"rows": 1}
