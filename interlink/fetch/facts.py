"""Facts about a media file from its row in the table `download`, before the file is opened."""

from __future__ import annotations

import json
from typing import Any


def stated_seconds(info: Any) -> float:
    """The duration stated by the site, seconds, from the column `info` (JSON); 0 if it states none."""
    try:
        duration = json.loads(info or "{}").get("duration")
        return float(duration) if duration else 0.0
    except (ValueError, TypeError, AttributeError):
        return 0.0
