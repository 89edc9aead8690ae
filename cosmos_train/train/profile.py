"""A trace of three steps by torch's profiler, if the recipe sets `profile_at`: `OUT/profile/rank-0-step-100.json`.

Open it in chrome://tracing or ui.perfetto.dev. Costs nothing before and after; the traced steps run slower.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import torch

STEPS = 3


class Profile:
    """first: the first step to trace; 0 traces none. If the run ends earlier, it writes the steps it has."""

    def __init__(self, out: Path, first: int, rank: int) -> None:
        self._folder = out / "profile"
        self._first = first
        self._rank = rank
        self._running: torch.profiler.profile | None = None

    def after(self, step: int) -> None:
        """Call after each step."""
        if self._first and step == self._first - 1:
            self._start()
        elif self._running and step >= self._first + STEPS - 1:
            self._write()

    def __enter__(self) -> Profile:
        if self._first == 1:
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running:
            self._write()

    def _start(self) -> None:
        kinds = [torch.profiler.ProfilerActivity.CPU]
        if torch.cuda.is_available():
            kinds.append(torch.profiler.ProfilerActivity.CUDA)
        self._running = torch.profiler.profile(activities=kinds, profile_memory=True, record_shapes=True)
        self._running.start()

    def _write(self) -> None:
        running, self._running = self._running, None
        assert running is not None
        running.stop()
        self._folder.mkdir(parents=True, exist_ok=True)
        running.export_chrome_trace(str(self._folder / f"rank-{self._rank}-step-{self._first}.json"))
