"""Fixtures that every room shares."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("WANDB_MODE", "disabled")
os.environ.setdefault("RAY_DEDUP_LOGS", "0")

# Stages and servers that tests share, and that their child processes must find too.
SUPPORT = str(Path(__file__).parent / "support")
sys.path.insert(0, SUPPORT)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [SUPPORT, os.environ.get("PYTHONPATH")]))

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real clips, subtitles, images (see its MANIFEST.md); not part of the repository."""
    if not SHARED.is_dir():
        pytest.skip(f"real test media are not on this machine: {SHARED} is absent")
    return SHARED


@pytest.fixture(scope="session")
def sample_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six videos of the sample world."""
    from interlink.sample import render

    folder = tmp_path_factory.mktemp("sample") / "clips"
    render(folder, 6, 0)
    return folder
