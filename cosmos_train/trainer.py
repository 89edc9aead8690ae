"""The loop: batches in, steps out, checkpoints on the way; a killed run goes on exactly where its checkpoint stood.

One process. Overhead over forward, backward and step: the clipping norm, and four numbers read back per step.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from torch import Tensor

from cosmos_train import checkpoint
from cosmos_train.checkpoint import Loaded, State
from cosmos_train.errors import UserError
from cosmos_train.metrics import Metrics
from cosmos_train.models.cosmo import CosMo, build_cosmo
from cosmos_train.objectives import cosmo as objective
from cosmos_train.optim import build_optimiser, is_gate, learning_rate, set_learning_rate
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import Batch
from cosmos_train.stream.corpus import Corpus
from cosmos_train.stream.loader import Samples, Stream
from cosmos_train.stream.tokenizer import Tokenizer

Observer = Callable[[int, list[Batch], float], None]

_ENOUGH_TO_JUDGE = 200  # samples before the share of bad ones can stop a run


@dataclass(frozen=True)
class Result:
    """What a run came to. stopped: by a signal, before its last step; a checkpoint was saved all the same."""

    out: Path
    checkpoint: Path
    step: int
    stopped: bool
    bad_samples: int
    seconds: float
    numbers: dict[str, float]


@dataclass
class _Window:
    """Sums since the last log line."""

    started: float
    steps: int = 0
    samples: int = 0
    tokens: int = 0
    frames: int = 0
    waited: float = 0.0
    language: float = 0.0
    contrastive: float = 0.0
    gradient: float = 0.0
    bad: Counter[str] = field(default_factory=Counter)


def device_of(recipe: Recipe) -> torch.device:
    if recipe.train.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(recipe.train.device)


def autocast(recipe: Recipe, device: torch.device) -> Any:
    return torch.autocast(device.type, torch.bfloat16) if recipe.train.precision == "bf16" else nullcontext()


def train(
    recipe: Recipe, out: Path, resume: bool = False, console: Console | None = None, observe: Observer | None = None
) -> Result:
    """Runs `recipe` into `out`; with `resume`, goes on from the latest checkpoint there (or starts).

    observe(step, batches, loss) is called after each step, for tests and tools. Raises UserError for shards that are
    missing or not those of the checkpoint, for too many bad samples, and for a loss that is no number.
    """
    return Trainer(recipe, out, resume, console or Console(stderr=True)).run(observe)


class Trainer:
    def __init__(self, recipe: Recipe, out: Path, resume: bool, console: Console) -> None:
        self.recipe = recipe
        self.out = out
        self.console = console
        if recipe.train.threads:
            torch.set_num_threads(recipe.train.threads)
        saved = self._saved(resume)
        self.corpus = Corpus(recipe.data.shards, recipe.data.text, recipe.data.clips_per_sample)
        self.signature = self.corpus.signature()
        if saved and saved.state.corpus != self.signature:
            raise UserError(
                f"the shards are not those that {saved.folder} was trained on: its position would mean other samples",
                "resume with the same shards and data settings, or start anew in another folder",
            )
        self.tokenizer = saved.tokenizer if saved else _tokenizer(recipe, self.corpus)
        self.device = device_of(recipe)
        torch.manual_seed(recipe.seed)
        self.model = build_cosmo(recipe, self.tokenizer).to(self.device)
        self.optimiser = build_optimiser(self.model, recipe.optimiser, self.device)
        self.step = self.position = self.bad = 0
        if saved:
            checkpoint.restore(saved, self.model, self.optimiser)
            self.step, self.position, self.bad = saved.state.step, saved.state.position, saved.state.bad
        self._stop = False

    def run(self, observe: Observer | None = None) -> Result:
        settings = self.recipe.train
        stream = Stream(
            Samples(self.corpus, self.recipe.data, self.recipe.seed), self.tokenizer, settings.batch_size, self.position
        )
        started = time.perf_counter()
        numbers: dict[str, float] = {}
        saved = checkpoint.latest(self.out) if self.step else None
        self.model.train()
        with Metrics(self.out, self.step, settings.steps, self.console) as metrics, self._stopping_on_signals():
            metrics.say(self._describe())
            window = _Window(time.perf_counter())
            while self.step < settings.steps and not self._stop:
                batches = self._fetch(stream, window)
                loss = self._train_step(batches, window)
                metrics.advance(self.step)
                if observe is not None:
                    observe(self.step, batches, loss)
                if self.step % settings.log_every == 0 or self.step == settings.steps:
                    numbers = self._numbers(window)
                    metrics.log(self.step, numbers)
                    for bad, count in sorted(window.bad.items()):
                        metrics.say(f"passed over {count} x {bad}")
                    window = _Window(time.perf_counter())
                if self.step % settings.save_every == 0 or self.step == settings.steps or self._stop:
                    saved = self._save()
            if saved is None or self._stop:
                saved = self._save()
        seconds = time.perf_counter() - started
        return Result(self.out, saved, self.step, self.step < settings.steps, self.bad, seconds, numbers)

    def _fetch(self, stream: Stream, window: _Window) -> list[Batch]:
        started = time.perf_counter()
        batches = [stream.next() for _ in range(self.recipe.train.accumulation)]
        window.waited += time.perf_counter() - started
        self.position = stream.position
        for batch in batches:
            self.bad += len(batch.holes)
            window.bad.update(f"{hole.key}: {hole.reason}" for hole in batch.holes)
        share = self.bad / self.position
        if self.position >= min(_ENOUGH_TO_JUDGE, self.corpus.units) and share > self.recipe.data.max_bad_share:
            worst = window.bad.most_common(1)[0][0] if window.bad else "see the lines above"
            raise UserError(
                f"{share:.0%} of the samples cannot be used, for example {worst}",
                "check the shards (interlink verify), or raise data.max_bad_share",
            )
        return batches

    def _train_step(self, batches: list[Batch], window: _Window) -> float:
        """One optimiser step over the batches that hold samples; returns its loss."""
        settings, optimiser = self.recipe, self.optimiser
        rate = learning_rate(self.step, settings.train.steps, settings.optimiser)
        set_learning_rate(optimiser, rate)
        readable = [batch for batch in batches if len(batch)]
        tokens = sum(objective.learned_tokens(batch) for batch in readable)
        loss = language = contrastive = torch.zeros((), device=self.device)
        for batch in readable:
            batch = batch.to(self.device)
            with autocast(settings, self.device):
                losses = objective.compute(self.model, batch, settings.objective)
                part = objective.total(losses, settings.objective, tokens, len(readable))
            part.backward()  # type: ignore[no-untyped-call]
            loss, language = loss + part.detach(), language + losses.language.detach()
            contrastive = contrastive + losses.contrastive.detach() / len(readable)
        norm: Tensor | float = 0.0
        if readable:
            norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), settings.optimiser.clip_norm)
            if not torch.isfinite(loss) or not torch.isfinite(torch.as_tensor(norm)):
                keys = ", ".join(key for batch in readable for key in batch.keys[:3])
                raise UserError(
                    f"the loss of step {self.step + 1} is no number (samples {keys}, …)",
                    "lower optimiser.lr or train in fp32, then go on from the last checkpoint with --resume",
                )
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.step += 1
        window.steps += 1
        window.samples += sum(len(batch) for batch in readable)
        window.tokens += tokens
        window.frames += sum(len(batch.frames) for batch in readable)
        window.language += float(language)
        window.contrastive += float(contrastive)
        window.gradient += float(norm)
        return float(loss)

    def _numbers(self, window: _Window) -> dict[str, float]:
        seconds = max(time.perf_counter() - window.started, 1e-9)
        weights = self.recipe.objective
        language = window.language / max(1, window.tokens)
        contrastive = window.contrastive / window.steps
        gates = [abs(float(p.detach().tanh())) for name, p in self.model.named_parameters() if is_gate(name)]
        return {
            "loss": weights.language_weight * language + weights.contrastive_weight * contrastive,
            "language": language,
            "contrastive": contrastive,
            "learning_rate": self.optimiser.param_groups[0]["lr"],
            "gradient_norm": window.gradient / window.steps,
            "logit_scale": float(self.model.scale().detach()),
            "mean_gate": sum(gates) / len(gates),
            "samples_per_second": window.samples / seconds,
            "tokens_per_second": window.tokens / seconds,
            "frames_per_second": window.frames / seconds,
            "data_wait_share": window.waited / seconds,
            "epoch": self.position / self.corpus.units,
            "bad_samples": float(self.bad),
            "seconds_left": (self.recipe.train.steps - self.step) * seconds / window.steps,
        }

    def _save(self) -> Path:
        state = State(self.step, self.position, self.bad, self.signature, self.tokenizer.names)
        return checkpoint.save(self.out, self.recipe, state, self.tokenizer, self.model, self.optimiser)

    def _saved(self, resume: bool) -> Loaded | None:
        """The checkpoint to go on from. A folder that holds a run is never overwritten by accident."""
        found = checkpoint.latest(self.out)
        if found is None:
            return None
        if not resume:
            raise UserError(f"{self.out} holds a run already", "go on with --resume, or give another --out", 2)
        saved = checkpoint.load(found)
        if saved.recipe.model != self.recipe.model:
            raise UserError(f"{found} was trained with another model than this recipe's", "use the recipe saved in it")
        return saved

    def _describe(self) -> str:
        total = sum(p.numel() for p in self.model.parameters())
        learning = sum(p.numel() for p in self.model.parameters() if p.requires_grad)
        done = f", going on after step {self.step}" if self.step else ""
        return (
            f"{self.recipe.name}: {learning / 1e6:.2f} of {total / 1e6:.2f} M parameters learn, "
            f"{self.corpus.size} documents, {self.corpus.units} samples an epoch, on {self.device}{done}"
        )

    @contextmanager
    def _stopping_on_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT end the run after the step under way, with a checkpoint."""

        def stop(_: int, __: FrameType | None) -> None:
            self._stop = True

        try:
            before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not in the main thread: signals belong to someone else
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _tokenizer(recipe: Recipe, corpus: Corpus) -> Tokenizer:
    if recipe.model.language.name:
        return Tokenizer.pretrained(recipe.model.language.name)
    return Tokenizer.train(corpus.texts(), recipe.model.language.vocabulary)


def load_model(path: Path) -> tuple[Loaded, CosMo]:
    """A checkpoint's model, ready to be asked, on the device of its recipe."""
    loaded = checkpoint.load(path)
    model = build_cosmo(loaded.recipe, loaded.tokenizer).to(device_of(loaded.recipe))
    checkpoint.restore(loaded, model)
    return loaded, model.eval()
