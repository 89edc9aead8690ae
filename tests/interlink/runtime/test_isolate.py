"""A stage in a process of its own: what that process is given. How it fails: test_worker.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlink.runtime.isolate import Child, StageSpec
from interlink.stage import Context, Item
from interlink.storage import Storage


@pytest.mark.processes
def test_a_child_computes_on_one_thread_unless_it_is_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    context = Context(Storage(str(tmp_path)))
    child = Child(StageSpec("toy_stages:Surroundings", {}, context), 500)
    try:
        said = {
            name: child.call(Item(name, "000-00000", {}, {}, context), 30.0).message
            for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
        }
    finally:
        child.close()

    assert said == {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "3"}
