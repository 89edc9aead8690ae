"""The face detectors by name: `none`, `mtcnn`. Imports nothing heavy."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from interlink.errors import UserError

if TYPE_CHECKING:
    from interlink.engines.faces import Faces

PACKAGE = "facenet_pytorch"
INSTALL = "pip install --no-deps facenet-pytorch"


def is_installed() -> bool:
    return find_spec(PACKAGE) is not None


def _weights() -> Path:
    """The folder of the files of weights."""
    found = find_spec(PACKAGE)
    assert found is not None and found.submodule_search_locations
    return Path(found.submodule_search_locations[0]) / "data"


def check_detector(name: str) -> None:
    """Raises UserError where torch or the weights of a detector are missing."""
    if name == "none":
        return
    if find_spec("torch") is None:
        raise UserError("the face detector mtcnn needs torch", "pip install 'interlink[models]'", 2)
    if not is_installed():
        raise UserError("the face detector mtcnn needs the weights in facenet-pytorch", INSTALL, 2)


def make_detector(name: str) -> Faces | None:
    """The detector, or None. Raises UserError as `check_detector`."""
    if name == "none":
        return None
    check_detector(name)
    from interlink.engines.faces import Faces

    return Faces(_weights())
