"""Damaged media files, watched in the isolated child: a row for each, of the right class, in time, and no orphans.

`INTERLINK_FUZZ=500 python -m pytest tests/interlink/media/test_fuzz.py -s` takes that many files and prints a summary.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from interlink.errors import FAILURES, StageError
from interlink.runtime.isolate import Child, StageSpec
from interlink.stage import Context, Item, Row, failed
from interlink.storage import Storage
from mutations import KINDS, Damaged, boxes, damage, extended, overwritten, readable_until, truncated

pytestmark = pytest.mark.processes

COUNT = int(os.environ.get("INTERLINK_FUZZ", "16"))
DEADLINE = 60.0  # seconds for one file; the slowest whole one takes a tenth of it
SOURCES = (
    "bikes_hard_cuts.mp4",
    "flipping_a_pancake.mkv",
    "stir_fry_onion_carrot.avi",
    "av1_water_brick_channel.webm",
    "his_girl_friday.mp4",
    "apollo17_moonwalk_vp9_opus.webm",
    "fades_gray_levels.mp4",
    "mixing_bowl_two_hosts.mp4",
    "making_cake_portrait.mp4",
    "nasa_webb_multistream.mp4",
    "shuttle_10s_silent.webm",
    "cockatoo_hevc.mp4",
)


class Watcher:
    """Runs damaged files through the stage, and remembers the slowest."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.context = Context(Storage(str(folder / "root")))
        spec = StageSpec("interlink.stages.keyframes:Keyframes", {"deadline_seconds": DEADLINE}, self.context)
        self.child = Child(spec, memory_mb=1500)
        self.slowest = 0.0

    def watch(self, damaged: Damaged) -> Row:
        path = self.folder / f"damaged{Path(damaged.source).suffix}"
        path.write_bytes(damaged.data)
        download = {"media": str(path), "subtitles": [], "size": len(damaged.data), "info": ""}
        item = Item("video", "0", {"collect": {}, "download": download}, {}, self.context)
        began = time.monotonic()
        try:
            row = self.child.call(item, DEADLINE)
        except StageError as error:
            row = failed(item.id, error)
        self.slowest = max(self.slowest, time.monotonic() - began)
        return row


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watcher]:
    watcher = Watcher(tmp_path_factory.mktemp("fuzz"))
    yield watcher
    watcher.child.close()
    assert orphans() == []


def orphans() -> list[int]:
    """Children of this process, or workers that were started by it, that still run."""
    mine = str(os.getpid())
    found = []
    for process in psutil.process_iter(["pid", "ppid", "cmdline", "status"]):
        command = process.info["cmdline"] or []
        if (
            "interlink.runtime.isolate" in command
            and command[-1] == mine
            and process.info["status"] != psutil.STATUS_ZOMBIE
        ):
            found.append(process.info["pid"])
    return found


def outcome(row: Row) -> str:
    """ok, partial, or the class of the failure."""
    return ("partial" if row.partial else "ok") if row.status == "ok" else row.error_class


def watched_until(row: Row) -> float:
    return float(row.fields["clips"][-1]["end"])


@pytest.mark.timeout(max(300, 15 * COUNT))
def test_damaged_files_become_rows_and_keep_what_precedes_the_damage(shared_data: Path, watcher: Watcher) -> None:
    clips = shared_data / "clips"
    step = 1 if len(KINDS) * len(SOURCES) <= COUNT else len(KINDS) * len(SOURCES) // COUNT
    numbers = [number * step + number % len(SOURCES) % step for number in range(COUNT)]
    outcomes: Counter[str] = Counter()
    kept = 0

    for number in numbers:
        damaged = damage(clips, SOURCES, number)
        row = watcher.watch(damaged)
        found = outcome(row)
        outcomes[found] += 1

        assert found in ("ok", "partial", *FAILURES) and found != "bug", f"{damaged.name}: {row.message}"
        assert found not in ("stalled", "crash", "memory"), f"{damaged.name}: {row.message}"
        if row.status == "ok":
            assert row.fields["clips"] and all(clip["frames"] for clip in row.fields["clips"]), damaged.name
        until = readable_until(clips / damaged.source, damaged)
        if until is not None and until > 1:
            assert row.status == "ok", f"{damaged.name}: readable until {until:.1f} s, but {found}: {row.message}"
            assert watched_until(row) >= until - 0.5, f"{damaged.name}: {watched_until(row):.1f} of {until:.1f} s"
            kept += 1

    assert watcher.slowest < DEADLINE + 5
    print(f"\n{COUNT} damaged files: {dict(outcomes.most_common())}; {kept} with a readable start, all kept;")
    print(f"slowest {watcher.slowest:.1f} s, orphans {len(orphans()) - 1}")


# -- classes asserted by hand -----------------------------------------------------------------------------------------

INDEX_LAST = {  # mp4 files whose index (`moov`) follows the pictures: without their end they say nothing
    "bikes_hard_cuts.mp4",
    "fades_gray_levels.mp4",
    "mixing_bowl_two_hosts.mp4",
    "making_cake_portrait.mp4",
    "nasa_webb_multistream.mp4",
    "cockatoo_hevc.mp4",
}


def cases(clips: Path) -> Iterator[tuple[Damaged, str]]:
    """Damage whose class follows from the format alone."""
    for source in SOURCES:
        yield truncated(clips, source, 32 / (clips / source).stat().st_size), "unreadable"
        yield truncated(clips, source, 0.5), "unreadable" if source in INDEX_LAST else "partial"
        yield extended(clips, source, bytes(1000)), "ok"
        yield overwritten(clips, source, 0, b"<!DOCTYPE html>\n" * 256), "unreadable"
        if source.endswith(".mp4"):
            data = (clips / source).read_bytes()
            start, _ = boxes(data)[b"moov"]
            yield overwritten(clips, source, start + 4, b"junk"), "unreadable"


@pytest.mark.timeout(300)
def test_damage_ends_in_its_class(shared_data: Path, watcher: Watcher) -> None:
    clips = shared_data / "clips"
    wrong = []
    count = 0
    for damaged, expected in cases(clips):
        row = watcher.watch(damaged)
        count += 1
        if outcome(row) != expected:
            wrong.append(f"{damaged.name}: {outcome(row)} ({row.message}) instead of {expected}")

    assert count >= 50
    assert not wrong, "\n".join(wrong)
