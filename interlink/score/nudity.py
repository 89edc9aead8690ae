"""A safety checker that needs no download: NudeNet's detector of body parts. Its package contains the weights.

Costs about 30 ms per frame on one core (320 pixels), on ONNX Runtime. No code of the package runs: only its weights are
read. Package and weights are under the AGPL-3.0, even where the package's metadata says otherwise.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path
from typing import Any, ClassVar

from interlink.engines.captioner import Identity
from interlink.engines.frames import to_picture
from interlink.engines.local import Batches, file_revision
from interlink.errors import StageError, UserError
from interlink.score.pictured import Judged, by_clip, harmful
from interlink.score.safety import Judgeable, NudenetSettings, SafetyChecker, Verdict
from interlink.settings import Settings

WHERE = "score.nudenet"
SIDE = 320  # pixels; the size that the detector was trained on
SURE = 0.2  # detections below this score are ignored, as in the package


class Nudenet(SafetyChecker):
    """One detector. A frame's value is its highest score of an unsafe label, a clip's the highest of its frames."""

    settings_class: ClassVar[type[Settings] | None] = NudenetSettings
    wants_frames: ClassVar[bool] = True
    costly: ClassVar[bool] = True

    def __init__(self, settings: NudenetSettings) -> None:
        super().__init__(settings)
        self._batches: Batches[bytes, Any, Judged] = Batches(
            settings.batch_size, "frames", self._inputs, self._answers, lambda frame, fault: fault, ahead=1
        )
        self._session: Any = None
        self._unsafe: dict[int, str] = {}

    @staticmethod
    def check(settings: NudenetSettings) -> None:
        _weights()

    def open(self) -> Identity:
        """Raises UserError where the package is missing, or does not have a label of the settings."""
        weights = _weights()
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # a worker has one core
        self._session = onnxruntime.InferenceSession(str(weights), options, providers=["CPUExecutionProvider"])
        names: dict[int, str] = ast.literal_eval(self._session.get_modelmeta().custom_metadata_map["names"])
        name = f"nudenet-{metadata.version('nudenet')}"
        self._unsafe = harmful(self.settings.unsafe_labels, names, name, WHERE)
        return Identity(
            "nudenet", name, file_revision(weights), parameters={"unsafe_labels": list(self._unsafe.values())}
        )

    def judge(self, clips: Sequence[Judgeable]) -> list[Verdict]:
        """Raises StageError for a frame that cannot be decoded."""
        return by_clip(clips, self._batches.run)

    def _inputs(self, batch: Sequence[bytes]) -> Any:
        """(N, 3, 320, 320): RGB, 0 to 1; the longer side scaled to 320, padded with black on the right and below."""
        import numpy as np
        from PIL import Image

        pictures = []
        for frame in batch:
            picture = to_picture(frame)
            square = Image.new("RGB", (max(picture.size),) * 2)
            square.paste(picture, (0, 0))
            pictures.append(np.asarray(square.resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32))
        return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2)) / np.float32(255)

    def _answers(self, batch: Sequence[bytes], inputs: Any) -> list[Judged]:
        """For each frame the highest score of an unsafe label, among places where that label scores highest."""
        import numpy as np

        try:
            (output,) = self._session.run(None, {self._session.get_inputs()[0].name: inputs})
        except RuntimeError as error:  # the base class of onnxruntime's errors
            raise StageError("model", f"nudenet: {error}"[:500]) from error
        shares = output[:, 4:]  # (N, labels, places); before them the boxes
        likeliest = shares.argmax(1)
        places = list(self._unsafe)
        # (N, unsafe labels)
        sure = np.stack([np.where(likeliest == one, shares[:, one], 0.0).max(-1) for one in places], axis=1)
        best = sure.argmax(1)
        values = sure.max(1)
        return [
            (float(value), self._unsafe[places[place]]) if value >= SURE else (0.0, "")
            for value, place in zip(values, best, strict=True)
        ]


def _weights() -> Path:
    """The detector's weights in its package. Raises UserError where that, or onnxruntime, is missing."""
    found = util.find_spec("nudenet")
    if found is None or not found.submodule_search_locations or util.find_spec("onnxruntime") is None:
        raise UserError("the safety checker nudenet needs a package", "pip install 'interlink[safety]'", 2)
    return Path(found.submodule_search_locations[0]) / "320n.onnx"
