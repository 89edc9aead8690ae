"""Tiny checkpoints, made once."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def blip2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_checkpoints import save_blip2

    return save_blip2(tmp_path_factory.mktemp("models") / "tiny-blip2")


@pytest.fixture(scope="session")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_checkpoints import save_qwen

    return save_qwen(tmp_path_factory.mktemp("models") / "tiny-qwen")
