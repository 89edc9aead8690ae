"""`python -m benchmarks gpu --device cpu --tiny`: the same measurements as on a GPU, with small sizes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TINY = ("--device", "cpu", "--tiny")
# Runs the benchmark where a GPU's image has none of these.
FORBIDDEN = """
import sys
class Hook:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("av", "ray", "ffmpeg", "imageio_ffmpeg", "yt_dlp"):
            raise AssertionError(f"imports {name}")
sys.meta_path.insert(0, Hook())
from benchmarks.gpu import main
main(sys.argv[1:])
"""


def gpu(folder: Path, *arguments: str) -> tuple[str, list[dict[str, Any]]]:
    """(what it prints, its lines of JSON) with these arguments."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", FORBIDDEN, *TINY, "--json", str(folder / "out.jsonl"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout, [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


def test_a_measurement_is_a_line_and_a_row(tmp_path: Path) -> None:
    table, lines = gpu(tmp_path, "--only", "plain CLIP, batch 2")
    (line,) = lines
    assert line["result"] == "ok" and line["samples_per_s"] > 0 and line["device"] == "cpu"
    assert [row.partition("  ")[0] for row in table.splitlines()] == ["measurement", "plain CLIP, batch 2"]


def test_what_is_done_is_not_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import gpu_measures
    from benchmarks.gpu import main

    ran: list[str] = []

    def fake(bench: gpu_measures.Bench) -> list[gpu_measures.Measurement]:
        def run(name: str) -> dict[str, Any]:
            ran.append(name)
            return {"tflops": 2.0} if name == "first" else {"rate": bench.rate}

        return [gpu_measures.Measurement(name, 5, lambda name=name: run(name)) for name in ("first", "second")]

    monkeypatch.setattr(gpu_measures, "measurements", fake)
    out = str(tmp_path / "out.jsonl")
    main([*TINY, "--json", out, "--only", "first"])
    main([*TINY, "--resume", out])
    assert ran == ["first", "second"]  # the second one knows the first one's rate
    lines = [json.loads(line) for line in Path(out).read_text().splitlines()]
    assert [line["name"] for line in lines] == ["first", "second"] and lines[1]["rate"] == 2e12


def test_limits_failures_and_memory_are_results(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch

    from benchmarks.gpu import done_before, measured, print_table
    from benchmarks.gpu_measures import Bench, Measurement

    bench = Bench("cpu", True, tmp_path)

    def full() -> dict[str, Any]:
        raise torch.OutOfMemoryError

    runs: dict[str, tuple[float, Any]] = {
        "ok": (5, lambda: {"number": 1.5}),
        "wrong": (5, lambda: {"right": False}),
        "out of time": (0.05, lambda: time.sleep(5)),
        "failed": (5, lambda: 1 / 0),
        "out of memory": (5, full),
    }
    ahead = time.monotonic() + 60
    lines = [measured(Measurement(name, limit, run), bench, ahead) for name, (limit, run) in runs.items()]
    assert [line["result"] for line in lines] == list(runs)
    late = measured(Measurement("late", 5, lambda: {}), bench, time.monotonic() - 1)
    assert late["result"] == "no time left"
    print_table(lines)
    assert "number 1.5" in capsys.readouterr().out
    kept = tmp_path / "lines.jsonl"
    kept.write_text("".join(json.dumps(line) + "\n" for line in [*lines, late]) + '{"name": "cut')
    assert done_before(kept).keys() == {"ok", "wrong", "out of memory"}
    assert done_before(tmp_path / "nothing") == {}


def test_what_the_image_needs_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.gpu import main

    main(["--needs"])
    assert {"pydantic", "open_clip_torch", "simplejpeg"} < set(capsys.readouterr().out.split())


@pytest.mark.slow
def test_every_row_of_the_table_is_right(tmp_path: Path) -> None:
    table, lines = gpu(tmp_path, "--minutes", "15")
    assert len(lines) == 1 + 3 * 5 + 2 + 1 + 2 * 4
    assert {line["result"] for line in lines} == {"ok"}, table
    assert len(table.splitlines()) == 1 + len(lines)
