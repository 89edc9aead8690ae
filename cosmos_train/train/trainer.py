"""The training loop: batches, steps, checkpoints. A killed run resumes exactly where its checkpoint was saved.

One process or many: at each step all ranks take their shares of the same global batches, agree on the loss, and judge
it before the optimiser step. Overhead over forward, backward and optimiser: the clipping norm, two exchanges of a few
numbers, and one wait for the device per step.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from torch import nn

from cosmos_train.errors import UserError
from cosmos_train.evaluate.watch import Watch
from cosmos_train.families.base import Numbers
from cosmos_train.families.registry import family_of
from cosmos_train.families.routing import alarm
from cosmos_train.recipe import Recipe
from cosmos_train.stream.stream import Data, StreamState, open_data, open_stream
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train import checkpoint, guard
from cosmos_train.train.checkpoint import Loaded, Saver, State
from cosmos_train.train.guard import Guard, Verdict
from cosmos_train.train.learner import Learner
from cosmos_train.train.metrics import Counts, Metrics, Window, memory_gigabytes, peak_flops, verdict
from cosmos_train.train.parallel import World, device_of, unshard, world_of
from cosmos_train.train.probe_samples import ProbeSamples
from cosmos_train.train.profile import Profile
from cosmos_train.train.starting import load_initial_weights

Observer = Callable[[int, list[Any], float], None]

_FIXED = ("model",)  # blocks of a recipe that cannot change on resume


@dataclass(frozen=True)
class Result:
    """Result of a run. stopped: a signal ended it before its last step; a checkpoint was saved."""

    out: Path
    checkpoint: Path
    step: int
    stopped: bool
    bad_samples: int
    seconds: float
    numbers: Numbers


def train(
    recipe: Recipe, out: Path, resume: bool = False, console: Console | None = None, observe: Observer | None = None
) -> Result:
    """Trains `recipe` into `out`. resume: continues from the latest checkpoint in `out`, or starts if there is none.

    Every process of a run calls it with the same arguments; the environment gives the rank. observe(step, batches,
    loss) is called after each step, for tests and tools. Raises UserError for shards that are missing or not those of
    the checkpoint, for too many bad samples, for a loss that is not finite, and if another process is gone.
    """
    family_of(recipe)  # checks the recipe before processes wait for each other
    with world_of(recipe) as world:
        return Trainer(recipe, out, resume, console or Console(stderr=True), world).run(observe)


class Trainer:
    """One rank of a run. family, model, learner: what learns; data, stream: the input; state(): progress to save."""

    def __init__(
        self, recipe: Recipe, out: Path, resume: bool, console: Console, world: World | None = None,
        start: Path | None = None,
    ) -> None:  # fmt: skip
        """start: a checkpoint to load, from any folder; else, with `resume`, the latest one in `out`."""
        self.family = family_of(recipe)
        self.recipe = recipe
        self.out = out
        self.console = console
        self.world = world or World(0, 1, 1, device_of(recipe))
        self.device = self.world.device
        if recipe.train.threads:
            torch.set_num_threads(recipe.train.threads)
        saved = checkpoint.load(start) if start else self._saved(resume)
        self.data = self._open(saved)
        self.tokenizer, self.model = self._build(saved)
        self.learner = Learner(recipe, self.family, self.model, self.world)
        self.flops, self.peak = self.family.flop_count(self.model, recipe), peak_flops(recipe.train, self.device)
        self.step = self.bad = self.used = 0
        self.example = ""  # an example of a bad sample, for the error
        if saved:
            self.learner.restore(saved)
            self.step, self.bad = saved.state.step, saved.state.bad
        self.changed = checkpoint.differences(saved.recipe, recipe) if saved else []
        self.guard = Guard(recipe.guard, saved.state.guard if saved else None)
        self.saver = Saver(out, recipe, self.tokenizer, self.world)
        place = StreamState.from_dict(saved.state.data) if saved else None
        self.stream = open_stream(recipe, self.tokenizer, self.data, self.world.rank, self.world.size, place)
        self.watch = Watch(recipe, self.tokenizer)
        self._before = self.stream.state  # state of the stream before the current step
        self._stop = False
        self._said: set[str] = set()  # remarks of this run

    def _open(self, saved: Loaded | None) -> Data:
        """Opens the recipe's shards. Raises UserError if they are not those of the checkpoint."""
        data = open_data(self.recipe.data)
        if saved and saved.state.corpus != data.signature:
            raise UserError(
                f"the shards are not those that {saved.folder} was trained on: its position would mean other samples",
                "resume with the same shards and data settings, or start a new run in another folder",
            )
        return data

    def _build(self, saved: Loaded | None) -> tuple[Tokenizer, nn.Module]:
        """Builds tokenizer and model, on the device. Weights come from `train.start_from`, or are drawn."""
        recipe = self.recipe
        initial = load_initial_weights(recipe) if recipe.train.start_from and not saved else None
        known = saved.tokenizer if saved else initial.tokenizer if initial else None
        tokenizer = known or self.family.tokenizer(recipe, self.data)
        torch.manual_seed(recipe.seed)
        model = self.family.build(recipe, tokenizer)
        if initial is not None:
            initial.fill(model)
        return tokenizer, model.to(self.device)

    def run(self, observe: Observer | None = None) -> Result:
        """Trains to the last step, or until a signal."""
        settings, began = self.recipe.train, time.perf_counter()
        numbers: Numbers = {}
        stopped = False
        self.model.train()
        metrics = Metrics(self.out, self.step, settings, self.recipe.name, self.console, self.world.first)
        samples = ProbeSamples(self.out, self.step, self.world.first)
        profile = Profile(self.out, settings.profile_at, self.world.rank)
        with closing(self.saver), metrics, profile, self._stopping_on_signals():
            metrics.say(self._describe())
            for caution in self.family.cautions(self.recipe, self.world.size, self.data.samples):
                metrics.say(f"  warning: {caution}")
            for changed in self.changed:
                metrics.say(f"  changed since the checkpoint: {changed}")
            window = Window()
            while self.step < settings.steps and not stopped:
                batches, counts = self._fetch(window)
                loss, stopped = self._train_step(batches, counts, window, metrics)
                metrics.advance(self.step)
                profile.after(self.step)
                if observe is not None:
                    observe(self.step, batches, loss)
                last = stopped or self.step == settings.steps
                if last and not self.used and self.bad:
                    raise UserError(
                        f"none of the {self.bad} samples of this run is usable, for example {self.example}",
                        "fix or remove these samples (interlink verify finds them)",
                    )
                if last or self.step % settings.log_every == 0:
                    numbers = self._log(window, metrics)
                    window = Window()
                if self.watch.due(self.step):
                    with window.timed("probe"), unshard(self.learner.parallelized):
                        probed = self.watch.ask(self.model, self.device)
                        metrics.add(self.step, probed.numbers)
                        samples.add(self.step, probed.samples)
                if last or self.step % settings.save_every == 0:
                    with window.timed("save"):
                        self.saver.save(self.state(), self.learner.tensors())
                        if last:
                            self.saver.wait()
        assert self.saver.newest is not None  # if no step was left, the run was resumed from a checkpoint
        seconds = time.perf_counter() - began
        return Result(self.out, self.saver.newest, self.step, self.step < settings.steps, self.bad, seconds, numbers)

    def replay(self) -> tuple[float, float]:
        """Computes the next step without taking it. Returns its loss and the norm of its gradient."""
        self.model.train()
        batches, _ = self._fetch(Window())
        losses, norm = self.learner.compute(batches, self.step)
        return losses["loss"], norm

    def state(self, before: bool = False) -> State:
        """Progress to save; before: as of the start of the current step."""
        place = self._before if before else self.stream.state
        return State(
            self.step, place.to_dict(), self.bad, self.data.signature, self.tokenizer.names, self.world.size,
            self.guard.numbers(), self.learner.scaler.state_dict(),
        )  # fmt: skip

    def _fetch(self, window: Window) -> tuple[list[Any], Counts]:
        """This rank's shares of the step's global batches."""
        self._before = self.stream.state
        with window.timed("data"):
            batches = [self.stream.next() for _ in range(self.recipe.train.passes(self.world.size)[1])]
        bad = Counter(f"{one.key}: {one.reason}" for batch in batches for one in batch.bad_samples)
        for reason, count in sorted(bad.items()):
            self.console.print(f"skipped {count} x {reason}", soft_wrap=True, highlight=False)
        learned, frames = sum(map(self.family.learned_tokens, batches)), sum(batch.num_images for batch in batches)
        counts = Counts(*map(int, self.world.sum([bad.total(), sum(map(len, batches)), learned, frames])))
        self.bad += counts.bad
        self.used += counts.samples
        self.example = next(iter(sorted(bad)), self.example)
        if self.flops is not None:
            for batch in batches:
                window.add_work(*self.family.work(batch, self.recipe))
        return batches, counts

    def _train_step(self, batches: list[Any], counts: Counts, window: Window, metrics: Metrics) -> tuple[float, bool]:
        """Computes one step and takes it, unless the guard skips it. Returns its loss, and whether any process must
        stop."""
        self.learner.set_rate(self.step)
        with window.timed("compute"):
            losses, norm = self.learner.compute(batches, self.step)
        judged = self.guard.judge(losses["loss"], norm, self.learner.scaler.is_enabled())
        if judged.reason:
            self._record(judged, losses, norm, batches, metrics)
        with window.timed("optimiser"):
            self.learner.update(self.step, judged.skip)
        self.step += 1
        window.add(counts, losses, norm, judged.skip)
        stop, failed = self.world.sum([self._stop, self.saver.failed])
        if failed:
            self.saver.wait()  # raises, on all ranks
        return losses["loss"], stop > 0

    def _record(self, judged: Verdict, losses: Numbers, norm: float, batches: list[Any], metrics: Metrics) -> None:
        """Records a bad step. Raises UserError if the step must stop the run."""
        folder = guard.folder_of(self.out, self.step + 1)
        keys = [key for batch in batches for key in batch.keys]
        metrics.say(f"step {self.step + 1}: {judged.reason} (samples {', '.join(keys[:3])}, …)")
        if self.guard.record_allowed():
            self.saver.wait()
            with closing(Saver(folder, self.recipe, self.tokenizer, self.world)) as saver:
                saver.save(self.state(before=True), self.learner.tensors())
                saver.wait()
            problem = None
            try:
                read = self.stream.documents_of(self._before, len(batches))
                guard.write_samples(folder, self.world.rank, read)
                if self.world.first:
                    guard.write_report(
                        folder, guard.Report(judged.reason, self.step + 1, losses["loss"], norm, self.world.size)
                    )
            except OSError as error:
                problem = UserError(f"cannot write {folder}: {error}", "free disk space, then resume with --resume")
            self.world.all_raise(problem)
            metrics.say(f"  recorded in {folder}: inspect its samples, or recompute the step with cosmos_train replay")
        if judged.stop:
            raise UserError(
                f"{judged.reason} at step {self.step + 1} (samples {', '.join(keys[:3])}, …)",
                "lower optimiser.lr or train in fp32, then resume from the last checkpoint with --resume",
            )

    def _log(self, window: Window, metrics: Metrics) -> Numbers:
        shares, seconds = window.shares(), max(time.perf_counter() - window.started, 1e-9)
        slowest = dict(zip(shares, self.world.largest(list(shares.values())), strict=True))
        numbers = {
            **{name: value / window.steps for name, value in window.losses.items()},
            "learning_rate": self.learner.rate,
            **metrics.totals(window.samples, seconds),
            "gradient_norm": window.gradient / window.steps,
            **self.family.numbers(self.model),
            "samples_per_second": window.samples / seconds,
            "tokens_per_second": window.tokens / seconds,
            "frames_per_second": window.frames / seconds,
            "data_wait_share": slowest["data"],
            **{f"time/{what}": share for what, share in shares.items()},
            **self._exposure(),
            **self._use(window, seconds),
            "memory_gigabytes": self.world.largest([memory_gigabytes(self.device)])[0],
            "epoch": self.stream.epoch,
            "bad_samples": float(self.bad),
            "skipped_steps": float(window.skipped),
            "seconds_left": (self.recipe.train.steps - self.step) * seconds / window.steps,
        }
        sentence = verdict(shares, slowest, self.recipe.data.workers, numbers.get("mfu", 0.0))
        metrics.log(self.step, numbers, self.family.losses, sentence)
        for remark in self.family.remarks(self.recipe, numbers):
            if remark not in self._said:
                self._said.add(remark)
                metrics.say(f"step {self.step}: warning: {remark}")
        if alarmed := alarm(numbers):
            metrics.say(f"step {self.step}: {alarmed}")
        return numbers

    def _use(self, window: Window, seconds: float) -> Numbers:
        """Operations per second of a device and their share of its peak (MFU), if known; with and without padding."""
        if self.flops is None:
            return {}
        done = [sum(part.total for part in self.flops.of(work).values()) for work in (window.useful, window.padded)]
        useful, padded = (total / seconds / self.world.size for total in self.world.sum(done))
        found = {"tflops": useful / 1e12, "tflops_padded": padded / 1e12}
        if self.peak:
            found |= {"mfu": useful / self.peak, "mfu_padded": padded / self.peak}
        return found

    def _exposure(self) -> Numbers:
        """For a mixture: each source's planned share, its realised share, and the number of passes over it."""
        rows = self.stream.exposure() if self.stream.types > 1 else []
        return {
            f"exposure/{row['source']}/{what}": float(row[what])
            for row in rows
            for what in ("planned", "realised", "passes")
        }

    def _saved(self, resume: bool) -> Loaded | None:
        """The checkpoint to resume from. Never overwrites a folder that holds a run."""
        found = checkpoint.latest(self.out)
        if found is None:
            return None
        if not resume:
            raise UserError(f"{self.out} holds a run already", "resume with --resume, or give another --out", 2)
        saved = checkpoint.load(found)
        different = checkpoint.differences(saved.recipe, self.recipe, _FIXED)
        if different:
            raise UserError(
                f"{found} was trained with another model than this recipe's: {'; '.join(different)}",
                "use the recipe saved in it",
            )
        return saved

    def _describe(self) -> str:
        total = sum(p.numel() for p in self.model.parameters())
        learning = sum(p.numel() for p in self.learner.learning)
        done = f", resuming after step {self.step}" if self.step else ""
        ranks = f" x {self.world.size} ({self.recipe.parallel.mode})" if self.world.size > 1 else ""
        return (
            f"{self.recipe.name}: {learning / 1e6:.2f} of {total / 1e6:.2f} M parameters learn, "
            f"{self.data.documents} documents, {self.data.samples} samples an epoch, on {self.device.type}{ranks}{done}"
        )

    @contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the run after the current step, with a checkpoint."""

        def stop(_: int, __: FrameType | None) -> None:
            self._stop = True

        try:
            before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not in the main thread, which alone can handle signals
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
