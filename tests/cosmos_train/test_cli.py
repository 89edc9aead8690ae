"""The commands as a person types them: quick help, exit codes, two-line errors, JSON."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.evaluate.generate import caption_files
from cosmos_train.recipe import Recipe

Tiny = Callable[..., Recipe]


def cosmos_train(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cosmos_train", *arguments], capture_output=True, text=True, timeout=120
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['cosmos_train', '--help']\n"
        "from cosmos_train.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'transformers', 'open_clip', 'numpy', 'PIL', 'pyarrow'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)
    assert min(_seconds("--help") for _ in range(3)) < 0.5  # of a core: others on the machine do not count


def _seconds(*arguments: str) -> float:
    """CPU time of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert cosmos_train(*arguments).returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "tiny_cosmo", "--set", "train.stepz=3"), 2, "did you mean train.steps?"),
        (("run", "nonsense"), 2, "there is no recipe nonsense"),
        (("evaluate", "/no/where"), 2, "no checkpoint in /no/where"),
        (("frobnicate",), 2, "frobnicate"),
        (("launch", "tiny_cosmo", "--nproc", "none"), 2, "--nproc none is neither a number"),
        (("launch", "tiny_cosmo", "--nproc", "1:2"), 2, "torchrun starts a fixed number per node"),
        (("launch", "tiny_cosmo", "--nproc", "2", "--nnodes", "2"), 2, "several nodes need a rendezvous"),
        (("launch", "tiny_cosmo", "--nproc", "3"), 2, "a batch of 64 rows of data cannot be shared evenly by 3"),
        (("index", "cosmo_2b", "--set", "data.shards=x"), 2, "has the sources pairs, images, videos, howto: give"),
        (("launch", "tiny_cosmo", "--nproc", "2", "--set", "train.stepz=3"), 2, "did you mean train.steps?"),
        (("replay", "/no/where"), 2, "/no/where is not a record of a step"),
    ],
)
def test_mistakes_end_with_the_right_code_and_no_trace(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = cosmos_train(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_train_evaluate_caption(tiny: Tiny, shards: Path, tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text(recipes.dump(tiny(train__steps=2)))
    done = cosmos_train("run", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "run"))
    assert done.returncode == 0, done.stderr
    assert "step 2/2  loss" in done.stdout
    done = cosmos_train("evaluate", str(tmp_path / "run"), "--set", f"data.shards={shards}", "--json", "--draws", "2")
    scores = json.loads(done.stdout)
    assert scores["step"] == 2
    assert 0 <= scores["retrieval"]["recall"] <= 1
    assert scores["language"]["own_frames"] > 0
    from PIL import Image

    Image.new("RGB", (64, 64), (200, 30, 30)).save(tmp_path / "a.jpg")
    done = cosmos_train("generate", str(tmp_path / "run"), str(tmp_path / "a.jpg"), "--max-tokens", "5")
    assert done.returncode == 0, done.stderr
    (tmp_path / "b.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"b\.jpg"):
        caption_files(tmp_path / "run", [tmp_path / "b.jpg"], 5)
