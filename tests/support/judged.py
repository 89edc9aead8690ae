"""A tiny COSMOS run and pictures of one colour, which tests of evaluations share."""

from __future__ import annotations

from pathlib import Path

from PIL import Image
from rich.console import Console

from cosmos_recipe import cosmos_recipe
from cosmos_train.train.trainer import train

COLOURS = {
    "red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 220), "yellow": (230, 210, 40),
    "purple": (150, 50, 190), "white": (240, 240, 240),
}  # fmt: skip


def cosmos_run(shards: Path, out: Path, steps: int = 2) -> Path:
    train(cosmos_recipe(shards, train__steps=steps), out, False, Console(quiet=True))
    return out


def paint(path: Path, colour: tuple[int, int, int] = (90, 90, 90), size: tuple[int, int] = (40, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)
