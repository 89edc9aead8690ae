"""The base class of all engines: what a class declares before an instance is made. Imports nothing heavy."""

from __future__ import annotations

from abc import ABC
from typing import Any, ClassVar

from interlink.settings import Settings
from interlink.stage import Resources


class Engine(ABC):
    """The constructor is cheap; `open` loads models, `close` releases them. A subclass overrides the defaults.

    settings: a built-in engine gets its block of the recipe; a third-party one the mapping `options`, or an instance of
    its `settings_class` made from them. A ValueError, TypeError or KeyError of the constructor is reported as an error
    in the options. The static methods are called before an instance is made, with the same settings, so an engine's
    module must import heavy packages only in `open`.
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
        """Releases what `open` loaded."""
