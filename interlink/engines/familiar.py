"""Whether a clip is of the kind that a checkpoint was trained on, by how well caption and frames fit. Costs nothing.

The measure is the checkpoint's own contrastive space: on material of its kind what it says lies close to what it sees.
The least fit that still counts is measured once, on clips of its kind, and lies beside the weights in `familiar.json`.
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
FALSE_ALARMS = 0.01  # share of a checkpoint's own material that is taken for other material
_ENOUGH = 3  # unfamiliar clips before anybody is warned …
_SHARE = 0.1  # … if they are more than this share


def calibrate(folder: Path, fits: Sequence[float], of: str) -> float:
    """Writes `familiar.json` into an exported folder from the fits of clips of its kind; returns the least fit.

    of: what the clips are. Raises UserError for fewer than 100 clips: they tell nothing of one in a hundred.
    """
    if len(fits) < 100:
        raise UserError(f"{len(fits)} clips are too few to tell what is familiar", "give 100 or more")
    least = sorted(fits)[round(FALSE_ALARMS * len(fits))]
    told = {"clips": len(fits), "false_alarms": FALSE_ALARMS, "least_fit": round(least, 4), "of": of}
    (folder / FILE).write_text(json.dumps(told, indent=1, sort_keys=True) + "\n")
    return told["least_fit"]  # type: ignore[return-value]


def least_fit(folder: Path) -> float | None:
    """What `calibrate` wrote, or None where it never did. Raises UserError where the file is damaged."""
    try:
        found: Any = json.loads((folder / FILE).read_text())
        return float(found["least_fit"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder / FILE} is damaged: {error}", "export the model again") from error


class Watch:
    """Counts clips and warns once when too many are unfamiliar: one clip in a hundred is no reason."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.clips = self.unfamiliar = 0
        self._warned = False

    def count(self, unfamiliar: bool) -> None:
        self.clips += 1
        self.unfamiliar += unfamiliar
        if self.unfamiliar >= _ENOUGH:
            self.judge()

    def judge(self) -> None:
        """Warns if what was counted gives reason to."""
        if self._warned or self.unfamiliar <= _SHARE * self.clips:
            return
        self._warned = True
        log.warning(
            "%d of %d clips so far are not of the kind that %s was trained on: what it says of them means nothing. "
            "They are flagged `unfamiliar`; caption.engine=transcript takes the speech instead",
            self.unfamiliar, self.clips, self.model,
        )  # fmt: skip
