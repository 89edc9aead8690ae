"""Captions by a CosMo that `cosmos_train` trained, exported as a folder. Costs the model in memory per worker.

Such a model speaks of what it was trained on. On other material it says what it knows all the same, so it warns.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from interlink.engines.captioner import ClipCaption, ClipRequest, Identity
from interlink.engines.frames import evenly
from interlink.engines.local import folder_revision
from interlink.engines.settings import CheckpointSettings
from interlink.errors import StageError, UserError

log = logging.getLogger(__name__)


class Checkpoint:
    """One exported folder. A clip is as many of its frames, evenly chosen, as one had in training."""

    def __init__(self, settings: CheckpointSettings, prompt: str) -> None:
        self.settings = settings
        self.prompt = prompt
        self._model: Any = None
        self._tokenizer: Any = None
        self._image: Any = None
        self._frames = 1

    def open(self) -> Identity:
        """Loads the folder. Raises UserError where it is no exported CosMo, and for a prompt: it follows none."""
        if not self.settings.path:
            raise UserError(
                "the checkpoint engine has no model", "name an exported folder: caption.engine=checkpoint:FOLDER", 2
            )
        if self.prompt:
            raise UserError("the checkpoint engine follows no prompt", "remove caption.prompt", 2)
        try:
            import torch

            from cosmos_train.export import load
        except ImportError as error:
            raise UserError(
                f"the checkpoint engine needs a package: {error}", "pip install 'interlink[train]'"
            ) from None
        folder = Path(self.settings.path).expanduser().absolute()
        loaded, model = load(folder)
        device = self.settings.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model, self._tokenizer = model.to(device), loaded.tokenizer
        self._image, self._frames = loaded.recipe.data.image, loaded.recipe.data.frames_per_clip
        log.warning(
            "captions come from %s, a %s trained for %d steps on shards %s: on material of another kind they mean "
            "nothing",
            folder.name, loaded.recipe.name, loaded.state.step, loaded.state.corpus[:12],
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
        self._model = self._tokenizer = None

    def caption(self, requests: Iterable[ClipRequest]) -> Iterator[ClipCaption]:
        source = iter(requests)
        while batch := list(islice(source, self.settings.batch_size)):
            seen: list[tuple[ClipRequest, Any]] = []
            for request in batch:
                if not request.frames:
                    yield ClipCaption(request.id, request.clip, flag="no_frames")
                    continue
                try:
                    seen.append((request, self._frames_of(request)))
                except StageError as error:
                    yield ClipCaption(request.id, request.clip, error=error)
            yield from self._say(seen)

    def _frames_of(self, request: ClipRequest) -> Any:
        """(F, 3, H, W) uint8. Raises StageError `unreadable`."""
        from cosmos_train.evaluate.generate import frames_of

        try:
            return frames_of(evenly(request.frames, self._frames), self._image)
        except (OSError, ValueError) as error:
            raise StageError("unreadable", f"a frame is no picture: {error}") from error

    def _say(self, seen: Sequence[tuple[ClipRequest, Any]]) -> list[ClipCaption]:
        """Captions of clips, fewer at once where memory runs out."""
        import torch

        if not seen:
            return []
        try:
            texts = self._texts(seen)
        except torch.OutOfMemoryError:
            if len(seen) == 1:
                fault = StageError("memory", "the model ran out of memory on this clip alone")
                return [ClipCaption(seen[0][0].id, seen[0][0].clip, error=fault)]
            texts = None
        if texts is None:  # outside the handler, whose exception holds the tensors of what failed
            torch.cuda.empty_cache()
            half = len(seen) // 2
            return self._say(seen[:half]) + self._say(seen[half:])
        return [
            ClipCaption(request.id, request.clip, text, "" if text else "empty")
            for (request, _), text in zip(seen, texts, strict=True)
        ]

    def _texts(self, seen: Sequence[tuple[ClipRequest, Any]]) -> list[str]:
        import torch

        from cosmos_train.evaluate.generate import caption

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
            found = caption(self._model, self._tokenizer, media, settings.max_new_tokens, settings.num_beams)
        return [" ".join(text.split()) for text in found]
