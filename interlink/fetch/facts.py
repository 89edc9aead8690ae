"""Facts about a media file from its row in the table `download`, before the file is opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def stated_seconds(info: Any) -> float:
    """The duration stated by the site, seconds, from the column `info` (JSON); 0 if it states none."""
    try:
        duration = json.loads(info or "{}").get("duration")
        return float(duration) if duration else 0.0
    except (ValueError, TypeError, AttributeError):
        return 0.0


def working_seconds(row: Mapping[str, Any], per_second: float, per_megabyte: float) -> float:
    """Most seconds that work on a media file may take, from its row in the table `download`.

    The size decides. A duration that the site states can only shorten the time, because anyone can state one.
    """
    by_size = per_megabyte * (row.get("size") or 0) / 1e6
    stated = stated_seconds(row.get("info"))
    return min(by_size, per_second * stated) if stated else by_size
