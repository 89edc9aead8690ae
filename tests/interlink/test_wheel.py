"""What is installed works outside of the checkout: recipes of both programs are found by name in the wheel."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlink.recipe import BUNDLED, recipe_names

CHECKOUT = Path(__file__).parents[2]
_UNREACHABLE = ("No matching distribution found for hatchling", "Could not find a version that satisfies")


def pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=CHECKOUT)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with nothing but the two packages, installed from a wheel."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("pip is not installed here")
    folder = tmp_path_factory.mktemp("wheel")
    built = pip("wheel", ".", "--no-deps", "-w", str(folder))
    if built.returncode and any(words in built.stderr for words in _UNREACHABLE):
        pytest.skip("building the wheel needs hatchling from the package registry, which cannot be reached")
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    done = pip("install", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel))
    assert done.returncode == 0, done.stderr
    return folder / "site"


def run(installed: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": str(installed)}
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=cwd, env=environment)


def test_every_recipe_is_in_the_wheel(installed: Path, tmp_path: Path) -> None:
    code = (
        "import json, interlink, cosmos_train.recipe as r; from interlink.recipe import recipe_names\n"
        "print(json.dumps([interlink.__path__[0], recipe_names(), sorted(p.stem for p in r.BUNDLED.rglob('*.yaml'))]))"
    )
    done = run(installed, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    where, names, trained = json.loads(done.stdout)
    assert Path(where) == installed / "interlink"
    assert names == recipe_names() == sorted(path.stem for path in BUNDLED.iterdir())
    assert trained == sorted(path.stem for path in (CHECKOUT / "cosmos_train" / "recipes").rglob("*.yaml"))


def test_the_viewers_templates_and_scripts_are_in_the_wheel(installed: Path) -> None:
    ours = CHECKOUT / "interlink" / "report" / "view"
    for folder in ("templates", "static"):
        names = sorted(path.name for path in (ours / folder).iterdir())
        assert sorted(path.name for path in (installed / "interlink/report/view" / folder).iterdir()) == names


def test_a_build_by_the_name_of_its_recipe(installed: Path, sample_clips: Path, tmp_path: Path) -> None:
    done = run(
        installed,
        *("-m", "interlink", "build", "folder", "--set", f"source.path={sample_clips}"),
        *("--root", "out", "--executor", "inline", "--limit", "1"),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "shards").rglob("*.tar"))) == 1


def test_the_trainer_finds_its_recipes(installed: Path, tmp_path: Path) -> None:
    done = run(installed, "-m", "cosmos_train", "size", "tiny_cosmo", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "language" in done.stdout
