"""Captions by a CosMo that `cosmos_train` trained and exported. Costs the model in memory per worker.

Such a model describes everything in terms of its training data. The engine flags clips unlike that data (`familiar`),
or warns where their fit was never measured. One model is bundled with this package.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

from interlink.engines import familiar, trainer
from interlink.engines.captioner import Captioner, ClipCaption, ClipRequest, Identity
from interlink.engines.frames import evenly
from interlink.engines.local import Batches, folder_revision
from interlink.engines.place import gpus_of
from interlink.engines.settings import CheckpointSettings
from interlink.errors import StageError, UserError
from interlink.settings import Settings
from interlink.stage import Resources

log = logging.getLogger(__name__)

SHIPPED = Path(__file__).parents[1] / "assets"  # one folder per bundled model


class Checkpoint(Captioner):
    """One exported folder. A clip has the number of frames used in training, evenly chosen."""

    settings_class: ClassVar[type[Settings] | None] = CheckpointSettings

    def __init__(self, settings: CheckpointSettings, prompt: str) -> None:
        """Raises UserError for a prompt: such a model takes none."""
        super().__init__(settings, prompt)
        if prompt:
            raise UserError("the checkpoint engine takes no prompt", "remove caption.prompt", 2)
        self._model: Any = None
        self._tokenizer: Any = None
        self._image: Any = None
        self._frames = 1
        self._batches: Batches[ClipRequest, list[Any], ClipCaption] = Batches(
            settings.batch_size, "clips", self._frames_of, self._answers, _lost, ahead=1
        )
        self._least_fit: float | None = None
        self._monitor = familiar.FamiliarityMonitor("")

    @staticmethod
    def resources(settings: CheckpointSettings) -> Resources:
        return Resources(cpus=1.0, gpus=gpus_of(settings.device))

    @staticmethod
    def parallel(settings: CheckpointSettings) -> int:
        return settings.batch_size

    @staticmethod
    def check(settings: CheckpointSettings) -> None:
        if not settings.model:
            raise UserError(
                "the checkpoint engine has no model", "name an exported folder: caption.engine=checkpoint:FOLDER", 2
            )
        folder = model_folder(settings.model)
        try:
            kind = json.loads((folder / "config.json").read_text())["model_type"]
        except (OSError, ValueError, LookupError, TypeError):
            kind = ""
        if kind != "cosmo":
            raise UserError(f"{folder} is not an exported CosMo", "make one: cosmos_train export RUN FOLDER", 2)
        trainer.check()

    def open(self) -> Identity:
        """Loads the folder. Raises UserError where it is not an exported CosMo."""
        self.check(self.settings)
        folder = model_folder(self.settings.model)
        loaded, model = trainer.load(folder)
        import torch

        device = self.settings.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model, self._tokenizer = model.to(device), loaded.tokenizer
        self._image, self._frames = loaded.recipe.data.image, loaded.recipe.data.frames_per_clip
        self._monitor = familiar.FamiliarityMonitor(folder.name)
        self._least_fit = familiar.least_fit(folder)
        if self._least_fit is None:
            log.warning(
                "captions come from %s, a %s trained for %d steps on shards %s: they mean nothing on other material, "
                "and its fit was never calibrated, so such clips are not flagged",
                folder.name, loaded.recipe.name, loaded.step, loaded.shards[:12],
            )  # fmt: skip
        return Identity(
            engine="checkpoint",
            model=folder.name,
            revision=folder_revision(folder),
            parameters={
                "frames": self._frames,
                "max_new_tokens": self.settings.max_new_tokens,
                "num_beams": self.settings.num_beams,
            },
        )

    def close(self) -> None:
        self._monitor.warn()
        self._model = self._tokenizer = None

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        return self._batches.run(requests)

    def _frames_of(self, batch: Sequence[ClipRequest]) -> list[Any]:
        """(F, 3, H, W) uint8 of each clip, None of those without frames. Raises StageError `unreadable`."""
        try:
            return [trainer.frames_of(evenly(r.frames, self._frames), self._image) if r.frames else None for r in batch]
        except (OSError, ValueError) as error:
            raise StageError("unreadable", f"a frame is not a picture: {error}") from error

    def _answers(self, batch: Sequence[ClipRequest], frames: list[Any]) -> list[ClipCaption]:
        seen = [(request, own) for request, own in zip(batch, frames, strict=True) if own is not None]
        captions = iter(self._caption(seen) if seen else [])
        return [
            ClipCaption(request.id, request.clip, flag="no_frames")
            if own is None
            else self._answer(request, *next(captions))
            for request, own in zip(batch, frames, strict=True)
        ]

    def _answer(self, request: ClipRequest, text: str, fit: float, tokens: int) -> ClipCaption:
        unfamiliar = self._least_fit is not None and fit < self._least_fit
        self._monitor.count(unfamiliar)
        flag = "empty" if not text else "unfamiliar" if unfamiliar else ""
        return ClipCaption(request.id, request.clip, text, flag, fit=fit, tokens=tokens)

    def _caption(self, seen: Sequence[tuple[ClipRequest, Any]]) -> list[tuple[str, float, int]]:
        """(text, fit to the frames, number of tokens) of each clip."""
        import torch

        device = next(self._model.parameters()).device
        most = max(len(frames) for _, frames in seen)
        mask = torch.zeros(len(seen), 1, most, dtype=torch.bool)
        times = torch.zeros(len(seen), 1, most)
        for row, (request, frames) in enumerate(seen):
            shown = evenly(request.times, self._frames)
            mask[row, 0, : len(frames)] = True
            times[row, 0, : len(frames)] = torch.tensor([time - shown[0] for time in shown])
        with torch.inference_mode():
            pixels = torch.cat([frames for _, frames in seen]).to(device)
            media = self._model.encode_media(pixels, mask.to(device), times.to(device))
            settings = self.settings
            found = trainer.caption(self._model, self._tokenizer, media, settings.max_new_tokens, settings.num_beams)
            fits = trainer.fit(self._model, self._tokenizer, media, found)
        counts = [len(self._tokenizer.encode(text)) for text in found]
        texts = [" ".join(text.split()) for text in found]
        return list(zip(texts, fits, counts, strict=True))


def _lost(request: ClipRequest, fault: StageError) -> ClipCaption:
    return ClipCaption(request.id, request.clip, error=fault)


def model_folder(model: str) -> Path:
    """The folder of `model`: a bundled one of that name, else a local folder."""
    shipped = SHIPPED / model
    if model and shipped.parent == SHIPPED and shipped.is_dir():
        return shipped
    return Path(model).expanduser().absolute()
