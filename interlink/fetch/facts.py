"""What a row of the table `download` says of a medium before it is opened."""

from __future__ import annotations

import json
from typing import Any


def stated_seconds(info: Any) -> float:
    """The duration that the site states, from the row's column `info` (JSON); 0 where it states none."""
    try:
        duration = json.loads(info or "{}").get("duration")
        return float(duration) if duration else 0.0
    except (ValueError, TypeError, AttributeError):
        return 0.0
