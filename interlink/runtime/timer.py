"""A thread that does something now and then while a block runs. Costs one wake-up each time.

It keeps no interpreter alive, ends with the block, and hands what went wrong in it to the block's own thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType

SHORTEST = 0.01  # seconds between two calls, whatever is asked for


class Timer:
    """Calls `work` for as long as the `with` block runs, each time after the seconds that the call before returned.

    What `work` raises ends the calls; it is raised by the next `check`, or where the block ends.
    """

    def __init__(self, work: Callable[[], float]) -> None:
        self._work = work
        self._stop = threading.Event()
        self._fault: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="timer", daemon=True)

    def __enter__(self) -> Timer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        if kind is None:
            self.check()

    def check(self) -> None:
        """Raises what `work` has raised."""
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        try:
            while not self._stop.wait(max(SHORTEST, self._work())):
                pass
        except Exception as error:
            self._fault = error
