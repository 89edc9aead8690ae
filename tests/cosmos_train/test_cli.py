"""The commands as a person types them: quick help, exit codes, two-line errors, JSON."""

from __future__ import annotations

import json
import subprocess
import sys
import time
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
    fastest = min(_seconds("--help") for _ in range(3))
    assert fastest < 1.0  # 0.3 s on an idle core; the limit leaves room for a busy machine


def _seconds(*arguments: str) -> float:
    started = time.perf_counter()
    assert cosmos_train(*arguments).returncode == 0
    return time.perf_counter() - started


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("run", "tiny_cosmo", "--set", "train.stepz=3"), 2, "did you mean train.steps?"),
        (("run", "nonsense"), 2, "there is no recipe nonsense"),
        (("evaluate", "/no/where"), 2, "no checkpoint in /no/where"),
        (("frobnicate",), 2, "frobnicate"),
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
