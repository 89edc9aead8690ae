"""Where numbers go: a line on stdout with rate and time left, metrics.jsonl, TensorBoard. Costs under 1 ms a step."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

Numbers = dict[str, float]


class Metrics:
    """Of one run in `out`. A run that goes on at `step` drops what an earlier one logged beyond it."""

    def __init__(self, out: Path, step: int, steps: int, console: Console) -> None:
        from torch.utils.tensorboard import SummaryWriter

        out.mkdir(parents=True, exist_ok=True)
        path = out / "metrics.jsonl"
        kept = [line for line in path.read_text().splitlines() if _step(line) <= step] if path.is_file() else []
        path.write_text("".join(line + "\n" for line in kept))
        self._file = path.open("a")
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1 if step else None)
        self._console = console
        self._steps = steps
        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[numbers]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task("training", total=steps, completed=step, numbers="")

    def __enter__(self) -> Metrics:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        self._file.close()
        self._board.close()

    def advance(self, step: int) -> None:
        self._progress.update(self._task, completed=step)

    def log(self, step: int, numbers: Numbers) -> None:
        """`numbers` of the steps up to `step`; `samples_per_second` and `seconds_left` are shown, all are written."""
        self._file.write(json.dumps({"step": step, **numbers}) + "\n")
        self._file.flush()
        for name, value in numbers.items():
            self._board.add_scalar(name, value, step)
        shown = (
            f"loss {numbers['loss']:.3f} (language {numbers['language']:.3f}, "
            f"contrastive {numbers['contrastive']:.3f})  "
            f"{numbers['samples_per_second']:.0f} samples/s"
        )
        self._progress.update(self._task, completed=step, numbers=shown)
        if not self._console.is_terminal:
            left = numbers["seconds_left"]
            self._console.print(
                f"step {step}/{self._steps}  {shown}  {_minutes(left)} left", soft_wrap=True, highlight=False
            )

    def say(self, text: str) -> None:
        self._progress.console.print(text, soft_wrap=True, highlight=False)


def _step(line: str) -> float:
    """The step of a line; a line cut short by a kill belongs to no step that was saved."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
