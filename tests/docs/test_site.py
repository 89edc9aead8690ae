"""The website: builds without a warning, and loads nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if find_spec("mkdocs") is None or find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed (extra docs)")
    out = tmp_path_factory.mktemp("site")
    made = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(out)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr
    return out


def test_the_site_loads_no_script_style_font_or_picture_from_elsewhere(site: Path) -> None:
    pattern = re.compile(
        r"<(?:script|img|iframe)\b[^>]*\bsrc=[\"']?https?:|<link\b[^>]*rel=[\"']?(?:stylesheet|preconnect|preload)[^>]*href=[\"']?https?:"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 30
    assert not [str(page.relative_to(site)) for page in pages if pattern.search(page.read_text())]
    styles = [path for path in site.rglob("*.css") if re.search(r"url\([\"']?https?:|@import", path.read_text())]
    assert not styles


def test_a_page_can_be_found(site: Path) -> None:
    index = (site / "search" / "search_index.json").read_text()
    assert "Fix what a message reports" in index and "interleave.filter.tokens" in index
