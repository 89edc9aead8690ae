"""Maps the status of an HTTP answer to a failure class."""

from __future__ import annotations

_CLASSES = {404: "gone", 410: "gone", 999: "blocked"}
_CLASSES |= dict.fromkeys((408, 416, 421, 425), "network")
_CLASSES |= dict.fromkeys((429, 503, 509, 529), "throttled")


def class_of_status(status: int) -> str:
    """The failure class of an HTTP error status; a refusal is `blocked`."""
    return _CLASSES.get(status) or ("network" if status >= 500 else "blocked")
