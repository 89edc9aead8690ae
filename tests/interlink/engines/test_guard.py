"""The guard: torchvision's transforms can be used, whatever torch lies beside it."""

from __future__ import annotations

import subprocess
import sys

import pytest


def test_transforms_and_processors_import_after_the_guard() -> None:
    pytest.importorskip("transformers", reason="transformers (the extra `models`) is not installed")
    code = (
        "from interlink.engines.guard import ensure_torchvision\n"
        "ensure_torchvision(); ensure_torchvision()\n"
        "import importlib.util\n"
        "if importlib.util.find_spec('torchvision'):\n"
        "    import numpy as np\n"
        "    from torchvision.transforms import v2\n"
        "    assert v2.functional.to_image(np.zeros((4, 6, 3), np.uint8)).shape == (3, 4, 6)\n"
        "from transformers import CLIPModel, CLIPImageProcessor\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
