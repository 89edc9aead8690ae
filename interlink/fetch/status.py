"""Maps the status of an HTTP answer to a failure class."""

from __future__ import annotations

_CLASSES = {404: "gone", 410: "gone", 408: "network", 425: "network", 429: "throttled", 503: "throttled"}


def class_of_status(status: int) -> str:
    """The failure class of an HTTP error status; a refusal is `blocked`."""
    return _CLASSES.get(status) or ("network" if status >= 500 else "blocked")
