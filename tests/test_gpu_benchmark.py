"""`python -m benchmarks gpu` on a CPU: every row of both parts, without a video library or Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FORBIDDEN = """
import sys

class Forbid:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("av", "ray", "ffmpeg", "yt_dlp"):
            raise AssertionError(f"imports {name}")

sys.meta_path.insert(0, Forbid())
"""


def run(folder: Path, *arguments: str, timeout: float = 100) -> tuple[int, str]:
    """Runs it in a process that refuses the forbidden imports. Returns its exit code and standard output."""
    (folder / "sitecustomize.py").write_text(FORBIDDEN)
    paths = os.pathsep.join(filter(None, [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "gpu", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=timeout,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert "imports av" not in done.stderr and "AssertionError: imports" not in done.stderr, done.stderr
    return done.returncode, done.stdout + (done.stderr if done.returncode else "")


@pytest.mark.processes
def test_a_measurement_is_a_line_of_json_and_is_not_repeated(tmp_path: Path) -> None:
    out = tmp_path / "a.jsonl"
    tiny = ("--device", "cpu", "--tiny", "--part", "a", "--json", str(out))
    code, printed = run(tmp_path, *tiny, "--only", "tiny_cosmos, bf16", "--only", "rate of products")
    assert code == 0, printed
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert [one["name"] for one in results] == ["tiny_cosmos, bf16", "rate of products in bf16"]
    assert results[0]["holds"] and 0 < results[0]["gradient_error"] < 0.15
    assert "| tiny_cosmos, bf16 | holds True" in printed
    code, printed = run(tmp_path, *tiny[:-2], "--resume", str(out), "--only", "rate of products", "--minutes", "0")
    assert code == 0, printed  # nothing is left, so no minute is needed
    assert printed.startswith("| measurement")
    assert len(out.read_text().splitlines()) == 2


@pytest.mark.slow
@pytest.mark.processes
@pytest.mark.timeout(900)
def test_every_row_of_both_parts_runs_on_a_cpu(tmp_path: Path) -> None:
    out = tmp_path / "all.jsonl"
    code, printed = run(tmp_path, "--device", "cpu", "--tiny", "--minutes", "6", "--json", str(out), timeout=850)
    assert code == 0, printed
    results = {one["name"]: one for one in map(json.loads, out.read_text().splitlines())}
    assert len(results) == 37
    assert not [name for name, one in results.items() if "error" in one or one.get("holds") is False]
    checked = [one for one in results.values() if "holds" in one]
    assert len(checked) == 20
    speeds = [one for one in results.values() if "samples_per_second" in one]
    assert len(speeds) == 14 and all(one["mfu"] > 0 and one["step_ms"] > 0 for one in speeds)
    missed = [one for one in speeds if one.get("goal", 0) > one["mfu"]]
    assert all("%" in one["kernels"] for one in missed)
    assert results["captions, memory runs out once"]["batch_left"] == 2
    assert "this machine decodes" in printed
    assert printed.count("\n| ") == 1 + len(results)


@pytest.mark.processes
def test_needs_are_listed(tmp_path: Path) -> None:
    code, printed = run(tmp_path, "--needs")
    assert code == 0
    assert "pydantic\there" in printed and "simplejpeg\there" in printed
