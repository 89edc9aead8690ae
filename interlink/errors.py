"""The failure classes of rows, and whether they are retried.

A stage never loses an item: every error becomes a row with one of these classes. Stage code raises `StageError` with
the class. `UserError` is for errors that the user must fix (one line of what happened, one of what to do).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FailureClass:
    """A class of failures: its meaning, and whether the build retries such rows automatically."""

    name: str
    meaning: str
    retries: bool = False


FAILURES: dict[str, FailureClass] = {
    f.name: f
    for f in (
        FailureClass("gone", "removed, private, 404 or 410"),
        FailureClass("blocked", "403, bot check, geographic, age or membership wall; an internal address"),
        FailureClass("throttled", "429, 503, 509 or 529, the server asks clients to wait", retries=True),
        FailureClass("network", "timeout, reset, name lookup, truncated body", retries=True),
        FailureClass("no_media", "a page or file without media"),
        FailureClass("no_video", "media without a video stream"),
        FailureClass("unreadable", "corrupt, or not a media container"),
        FailureClass("unsupported", "codec, DRM or live stream"),
        FailureClass("too_large", "more bytes than the recipe allows"),
        FailureClass("too_long", "more seconds than the recipe allows"),
        FailureClass("crash", "the worker or its child died", retries=True),
        FailureClass("stalled", "no answer before the deadline", retries=True),
        FailureClass("memory", "more memory than the stage may take", retries=True),
        FailureClass("model", "an engine refused or returned nothing"),
        FailureClass("bug", "a bug in interlink; please report it"),
    )
}


class StageError(Exception):
    """Raised by stage code for one item, which becomes a failed row with this class and message.

    retry_after: seconds to wait that a server asked for, if any.
    """

    def __init__(self, error_class: str, message: str, retry_after: float | None = None) -> None:
        if error_class not in FAILURES:
            raise ValueError(f"unknown failure class {error_class!r}")
        super().__init__(message)
        self.error_class = error_class
        self.retry_after = retry_after

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.error_class, str(self), self.retry_after)


class Dropped(Exception):
    """Raised by stage code for an item that the recipe excludes: a dropped row with `reason` (a short_identifier)."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message)
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, str(self))


class UserError(Exception):
    """An error that the user can fix: `what` happened, and what to `do`. The CLI prints both and exits with `code`.

    code: 1 = failure, 2 = wrong usage.
    """

    def __init__(self, what: str, do: str = "", code: int = 1) -> None:
        super().__init__(what)
        self.what = what
        self.do = do
        self.code = code

    def __str__(self) -> str:
        return f"{self.what}\n{self.do}" if self.do else self.what
