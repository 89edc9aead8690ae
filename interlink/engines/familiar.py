"""Decides whether a clip is like a checkpoint's training data, by how well caption and frames fit. Costs nothing.

The fit is a cosine in the checkpoint's contrastive space: on material like its training data, captions are close to
their frames. The least accepted fit is measured once, on such clips, and stored with the weights in `familiar.json`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interlink.errors import UserError

log = logging.getLogger(__name__)

FILE = "familiar.json"
FALSE_ALARMS = 0.01  # share of familiar clips that are flagged as unfamiliar
_ENOUGH = 3  # fewest unfamiliar clips for a warning …
_SHARE = 0.1  # … and their least share of all clips


def calibrate(folder: Path, fits: Sequence[float], of: str) -> float:
    """Writes `familiar.json` into an exported folder from the fits of familiar clips; returns the least fit.

    of: a name for the clips. Raises UserError for fewer than 100 clips: they cannot show a rate of one in a hundred.
    """
    if len(fits) < 100:
        raise UserError(f"{len(fits)} clips are too few to calibrate the fit", "use 100 or more")
    least = sorted(fits)[round(FALSE_ALARMS * len(fits))]
    calibration = {"clips": len(fits), "false_alarms": FALSE_ALARMS, "least_fit": round(least, 4), "of": of}
    (folder / FILE).write_text(json.dumps(calibration, indent=1, sort_keys=True) + "\n")
    return calibration["least_fit"]  # type: ignore[return-value]


def least_fit(folder: Path) -> float | None:
    """The least fit that `calibrate` wrote, or None without a file. Raises UserError where the file is damaged."""
    try:
        found: Any = json.loads((folder / FILE).read_text())
        return float(found["least_fit"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / FILE} is damaged: {error}", "export the model again") from error


class FamiliarityMonitor:
    """Counts clips and warns once when too many are unfamiliar. One clip in a hundred is expected."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.clips = self.unfamiliar = 0
        self._warned = False

    def count(self, unfamiliar: bool) -> None:
        self.clips += 1
        self.unfamiliar += unfamiliar
        if self.unfamiliar >= _ENOUGH:
            self.warn()

    def warn(self) -> None:
        """Logs a warning, once, if the share of unfamiliar clips is too large."""
        if self._warned or self.unfamiliar <= _SHARE * self.clips:
            return
        self._warned = True
        log.warning(
            "%d of %d clips so far are unlike the training data of %s: their captions are meaningless. "
            "They are flagged `unfamiliar`; caption.engine=transcript uses the speech instead",
            self.unfamiliar, self.clips, self.model,
        )  # fmt: skip
