"""What all engines share: what one declares before it is made. Imports nothing heavy."""

from __future__ import annotations

from typing import Any, ClassVar

from interlink.settings import Settings
from interlink.stage import Resources


class Engine:
    """Made cheaply from its settings; `open` loads, `close` lets go. A subclass says what differs from the defaults.

    settings: one of ours is given its block of the recipe; a third-party one the mapping `options`, or an instance of
    its `settings_class` made from them. What its constructor raises (ValueError, TypeError, KeyError) is reported as a
    mistake in the options. The static methods are asked before it is made, with the same settings, so a module of an
    engine imports its heavy packages only in `open`.
    """

    settings_class: ClassVar[type[Settings] | None] = None

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @staticmethod
    def resources(settings: Any) -> Resources:
        """What one worker needs."""
        return Resources(cpus=1.0)

    @staticmethod
    def check(settings: Any) -> None:
        """Raises UserError where a package, a model or a key is missing.

        Called where the build was started, before any stage runs. Costs milliseconds and loads no weights.
        """

    def close(self) -> None:
        """Lets go of what `open` took."""
