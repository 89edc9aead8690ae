"""Image–text engines: they embed pictures and texts in one space, to measure how well they match.

`open_clip` costs about 0.1 s per picture on one core for ViT-B/32, and about the same per text. Imports nothing heavy.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field

from interlink.engines.captioner import Identity
from interlink.engines.engine import Engine
from interlink.engines.frames import to_picture
from interlink.engines.present import require_model
from interlink.errors import UserError
from interlink.plugins import Group
from interlink.settings import Settings, operational
from interlink.stage import Resources

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HUB = "hf-hub:"  # prefix of a model id on the hub
# name -> module:Class
ENGINES: dict[str, str] = {"open_clip": "interlink.engines.imagetext:OpenClip"}
GROUP = Group("interlink.imagetext", "image–text engine", ENGINES, "interlink.engines.imagetext:ImageText", ("none",))


class ImageTextSettings(Settings):
    """An image–text model of open_clip."""

    model: str = Field(
        "ViT-B-32",
        description="open_clip's name of a model, hf-hub:ID, or a folder written by open_clip or `cosmos_train export` "
        "(of a COSMOS)",
    )
    pretrained: str = Field("", description="weights: a tag of open_clip (openai), or a local file")
    device: str = operational("auto", "cpu, cuda, cuda:N; auto = cuda if available")
    batch_size: int = operational(32, "pictures or texts per batch", ge=1)


class ImageText(Engine):
    """An image–text engine."""

    @abstractmethod
    def open(self) -> Identity:
        """Loads the model. Raises UserError where the settings cannot be used."""

    @abstractmethod
    def pictures(self, frames: Sequence[bytes]) -> NDArray[np.float32]:
        """(N, D) unit vectors of JPEGs. Raises StageError `unreadable`."""

    @abstractmethod
    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, D) unit vectors. Texts beyond the model's length are truncated."""


def check_image_text(name: str) -> str:
    """`name` if it is a known engine, built-in or by entry point, else UserError."""
    return GROUP.check(name)


def image_text_class(name: str) -> type[ImageText]:
    """The class of an engine. Raises UserError where it cannot be imported."""
    found: type[ImageText] = GROUP.load(name)
    return found


def make_image_text(name: str, settings: BaseModel | Mapping[str, Any]) -> ImageText:
    """The engine `name`, not yet opened. settings: its block, or the options of a third-party engine."""
    made: ImageText = GROUP.make(name, settings)
    return made


class OpenClip(ImageText):
    """A model of open_clip in evaluation mode."""

    settings_class: ClassVar[type[Settings] | None] = ImageTextSettings

    def __init__(self, settings: ImageTextSettings) -> None:
        super().__init__(settings)
        self._model: Any = None
        self._prepare: Any = None
        self._tokenizer: Any = None
        self._device = "cpu"

    @staticmethod
    def resources(settings: ImageTextSettings) -> Resources:
        return Resources(cpus=1.0, gpus=float(settings.device.startswith("cuda")))

    @staticmethod
    def check(settings: ImageTextSettings) -> None:
        if any(find_spec(package) is None for package in ("torch", "open_clip")):
            raise UserError("image–text scores need open_clip", "pip install 'interlink[clip]'", 2)
        folder, weights = Path(settings.model).expanduser(), Path(settings.pretrained).expanduser()
        if folder.is_dir() and not (folder / "open_clip_config.json").is_file():
            raise UserError(
                f"{settings.model} is not a folder of open_clip: open_clip_config.json is missing",
                "set score.open_clip.model to a folder written by open_clip or `cosmos_train export`",
                2,
            )
        if settings.model.startswith(_HUB):
            require_model(
                settings.model.removeprefix(_HUB), "", "score.open_clip", ("open_clip_config.json", "config.json")
            )
        if not settings.pretrained and not folder.is_dir() and ":" not in settings.model:
            raise UserError(
                f"the model {settings.model} has no weights", "set score.open_clip.pretrained to a tag or a file", 2
            )
        if weights.suffix and not weights.is_file():
            raise UserError(f"{weights} does not exist", "set it to a file of weights, or a tag of open_clip", 2)

    def open(self) -> Identity:
        """Raises UserError where open_clip is not installed, or does not have the model or weights."""
        from interlink.engines.guard import ensure_torchvision
        from interlink.engines.local import file_revision, folder_revision

        ensure_torchvision()
        self.check(self.settings)
        import open_clip
        import torch

        settings = self.settings
        folder, weights = Path(settings.model).expanduser(), Path(settings.pretrained).expanduser()
        name = f"local-dir:{folder}" if folder.is_dir() else settings.model
        whole = ":" in name  # such a place has its own weights
        options = {} if whole else {"pretrained": str(weights) if weights.is_file() else settings.pretrained}
        try:
            model, _, self._prepare = open_clip.create_model_and_transforms(name, weights_only=True, **options)
            config = json.loads((folder / "open_clip_config.json").read_text()) if folder.is_dir() else {}
            self._tokenizer = _Words(folder, **config["words"]) if "words" in config else open_clip.get_tokenizer(name)
        except (RuntimeError, OSError, ValueError, KeyError, TypeError) as error:
            first = str(error).strip().splitlines()[0]
            hint = "see open_clip.list_pretrained(); without a network, use a local file"
            raise UserError(f"{settings.model} with {settings.pretrained}: {first}", hint, 2) from error
        self._device = settings.device
        if self._device == "auto":
            self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.eval().to(self._device)
        revision = file_revision(weights) if weights.is_file() else settings.pretrained
        if folder.is_dir():
            return Identity("open_clip", folder.name, folder_revision(folder))
        return Identity("open_clip", settings.model, revision)

    def close(self) -> None:
        self._model = self._prepare = self._tokenizer = None

    def pictures(self, frames: Sequence[bytes]) -> NDArray[np.float32]:
        import torch

        def encode(batch: Sequence[bytes]) -> Any:
            return self._model.encode_image(torch.stack([self._prepare(to_picture(f)) for f in batch]).to(self._device))

        return self._unit(frames, encode)

    def texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._unit(texts, lambda batch: self._model.encode_text(self._tokenizer(list(batch)).to(self._device)))

    def _unit(self, things: Sequence[Any], encode: Any) -> NDArray[np.float32]:
        import numpy as np
        import torch

        parts = []
        size = self.settings.batch_size
        with torch.inference_mode():
            for begin in range(0, len(things), size):
                vectors = encode(things[begin : begin + size]).float()
                parts.append(torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy())
        found: NDArray[np.float32] = np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)
        return found


class _Words:
    """The tokenizer of an exported COSMOS: `begin`, the words, `end`, padded with 0 to `length`."""

    def __init__(self, folder: Path, begin: int, end: int, length: int) -> None:
        from tokenizers import Tokenizer

        self._backend = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._begin, self._end, self._length = begin, end, length

    def __call__(self, texts: Sequence[str]) -> Any:
        import torch

        found = torch.zeros(len(texts), self._length, dtype=torch.long)
        for row, text in enumerate(texts):
            ids = self._backend.encode(text, add_special_tokens=False).ids[: self._length - 2]
            found[row, : len(ids) + 2] = torch.tensor([self._begin, *ids, self._end])
        return found
