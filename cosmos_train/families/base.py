"""A model family: everything that the trainer, the commands and the evaluation need for one kind of model.

A family is a class. Its kind is the name that a recipe gives as `model.kind`; `registry` maps kinds to classes. A
family implements `build` and `compute`; the other methods have defaults. The default of an optional feature raises a
UserError. Light: importing this module, or a family's, imports no torch.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from pydantic import BaseModel, ValidationError

from cosmos_train.errors import UserError
from cosmos_train.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cosmos_train.models.flops import Count, Operations
    from cosmos_train.models.pretrained import Vocabulary
    from cosmos_train.recipe import Recipe
    from cosmos_train.stream.stream import Data
    from cosmos_train.stream.tokenizer import Tokenizer

Numbers = dict[str, float]
Work = Any  # a dataclass of additive numbers: the amount of work in a batch
Block = Literal["vision", "language"]


@dataclass(frozen=True)
class StepContext:
    """Contexts that a step runs in.

    autocast(): the number type of the forward pass. backward(loss): accumulates gradients. no_sync(last): encloses the
    forward and backward pass of a batch; processes exchange gradients only in the step's last one.
    """

    autocast: Callable[[], AbstractContextManager[Any]]
    backward: Callable[[Tensor], None]
    no_sync: Callable[[bool], AbstractContextManager[Any]]


@dataclass(frozen=True)
class Trained:
    """The small parts of a trained model, from a checkpoint or an exported folder. Its weights are a separate module.

    step: optimiser steps done; shards: signature of the shards it was trained on.
    """

    folder: Path
    recipe: Recipe
    tokenizer: Tokenizer
    step: int
    shards: str


class FlopCount(Protocol):
    def of(self, work: Work) -> dict[str, Operations]:
        """Forward and backward operations of each part of a model for this work."""


class StepCallback(Protocol):
    """Called around optimiser steps. Neither method is called for a skipped step."""

    def before_step(self, step: int) -> None: ...
    def after_step(self, step: int) -> None: ...


class NoCallback:
    def before_step(self, step: int) -> None: ...
    def after_step(self, step: int) -> None: ...


@dataclass(frozen=True)
class Size:
    """Rows of the table of `size`: parameters by part, and operations of the longest sample that the recipe allows.

    A name in `costs` that is not a part has its own row. title: of the table; empty: the recipe's name.
    """

    parts: dict[str, Count]
    costs: dict[str, Operations]
    title: str = ""


@dataclass(frozen=True)
class Evaluation:
    """How to evaluate a family. Functions are named as "module:function" and imported on use; an empty name means that
    the family has no such evaluation. `cosmos_train.evaluate.functions` has their signatures.

    tasks: kinds of benchmark that it supports. videos: whether it supports benchmarks of videos; own_words: whether it
    supports benchmarks where each question states the format of the answer. embedder: for tasks that compare pictures
    with texts; answers: for all others. probe: of a run in training; probe_report: what `evaluate --probe` prints
    instead of the probe's numbers.
    """

    tasks: frozenset[str] = frozenset()
    videos: bool = True
    own_words: bool = True
    embedder: str = ""
    answers: str = ""
    probe: str = ""
    probe_report: str = ""


class NoOptions(Settings):
    """The options of a family without settings."""


class Family(ABC):
    """kind: the name in recipes; name: the display name; form: the `data.form` that it learns from.

    losses: parts of `loss` to show in a line of metrics. needs: blocks of `model` that a recipe must give.
    model_options, objective_options: schemas of `model.options` and `objective.options`. expert_places: where `upcycle`
    puts experts by default. instead: advice when a command of another family is called.
    library, hub_task, use, limits: for the model card of an export: who loads it, its task on the Hub, and sentences.
    """

    kind: ClassVar[str]
    name: ClassVar[str]
    form: ClassVar[str]
    losses: ClassVar[tuple[str, ...]] = ()
    needs: ClassVar[tuple[Block, ...]] = ()
    model_options: ClassVar[type[BaseModel]] = NoOptions
    objective_options: ClassVar[type[BaseModel]] = NoOptions
    expert_places: ClassVar[tuple[str, ...]] = ()
    evaluation: ClassVar[Evaluation] = Evaluation()
    library: ClassVar[str] = "interlink"
    hub_task: ClassVar[str] = ""
    use: ClassVar[str] = "Research on material like that which it was trained on."
    limits: ClassVar[str] = "On other material its outputs mean little."
    instead: ClassVar[str] = "see cosmos_train evaluate --help"

    # Recipes

    def check(self, recipe: Recipe) -> None:
        """Raises UserError (code 2) if the recipe does not fit the family. Called before any work."""
        if recipe.data.form != self.form:
            raise UserError(
                f"model.kind {self.kind} needs data.form {self.form}, not {recipe.data.form}",
                f"set data.form to {self.form}, or choose another model.kind",
                2,
            )
        if recipe.probe.every and not self.evaluation.probe:
            raise self.cannot("be probed in training", "set probe.every to 0")
        vision, language = recipe.model.vision, recipe.model.language
        given = {"vision": vision.name or vision.config, "language": language.name or language.config}
        for block in self.needs:
            if not given[block]:
                raise UserError(
                    f"model.{block} of a {self.name} has neither `name` nor `config`", "give one of them", 2
                )
        for key, schema, options in (
            ("model.options", self.model_options, recipe.model.options),
            ("objective.options", self.objective_options, recipe.objective.options),
        ):
            _validate(schema, options, key, self.name)

    # Building and training

    def pretrained_tokenizer(self, recipe: Recipe) -> Tokenizer | None:
        """The tokenizer if it is known without the shards: that of `model.language.name`."""
        from cosmos_train.stream.tokenizer import Tokenizer

        name = recipe.model.language.name
        return Tokenizer.pretrained(name) if name else None

    def tokenizer(self, recipe: Recipe, data: Data) -> Tokenizer:
        """The pretrained tokenizer, or one trained on the shards."""
        from cosmos_train.stream.tokenizer import Tokenizer

        known = self.pretrained_tokenizer(recipe)
        return known or Tokenizer.train(data.texts(), recipe.model.language.vocabulary)

    @abstractmethod
    def build(self, recipe: Recipe, vocabulary: Vocabulary, weights: bool = True) -> nn.Module:
        """The recipe's model; torch's random state draws new parts. weights=False: the architecture only."""

    @abstractmethod
    def compute(self, model: Any, batch: Any, settings: Any, *rest: Any, **more: Any) -> Any:
        """One forward pass, which wrappers (DDP, FSDP) see. settings: the recipe's `objective` block.

        The default `step` needs the batch's losses by name, `loss` first: means over the batch, with gradients.
        """

    def step(
        self, forward: Callable[..., Any], batches: Sequence[Any], recipe: Recipe, context: StepContext
    ) -> dict[str, Tensor]:
        """Runs backward for the batches of a step. forward: `compute` without its first argument.

        batches: the same number on every process, unreadable ones included. Gradients are averaged over processes
        afterwards. Returns losses over all processes, `loss` first. Default: means over batches.
        """
        from cosmos_train.families.accumulation import mean_over_processes

        sums: dict[str, Tensor] = {}
        for number, batch in enumerate(batches):
            with context.no_sync(number == len(batches) - 1):
                with context.autocast():
                    losses = forward(batch, recipe.objective)
                context.backward(losses["loss"] / len(batches))
            for name, loss in losses.items():
                part = loss.detach().float() / len(batches)
                sums[name] = sums[name] + part if name in sums else part
        return mean_over_processes(sums)

    def learned_tokens(self, batch: Any) -> int:
        """Number of tokens with a loss. Default: all but padding."""
        return int(batch.num_tokens)

    def decays(self, name: str, parameter: nn.Parameter) -> bool:
        """Whether weight decay applies. Default: to matrices, except embeddings, learned tokens and positions."""
        from cosmos_train.models.decay import decays

        return decays(name, parameter)

    def step_callback(self, model: Any, recipe: Recipe) -> StepCallback:
        return NoCallback()

    def cautions(self, recipe: Recipe, world: int, samples: int) -> list[str]:
        """What a run's losses will not mean, said once at its start. Default: nothing.

        world: number of processes; samples: of an epoch.
        """
        return []

    def remarks(self, recipe: Recipe, losses: Numbers) -> list[str]:
        """Which of the logged losses say nothing, and why; each is said once in a run. Default: none."""
        return []

    def numbers(self, model: Any) -> Numbers:
        """Additional numbers to log. All ranks call it. Default: use of experts, if there are any."""
        from cosmos_train.families.routing import routing_numbers

        return routing_numbers(model)

    # Costs

    def flop_count(self, model: Any, recipe: Recipe) -> FlopCount | None:
        """Default: None, unknown; then a run logs no device utilisation."""
        return None

    def work(self, batch: Any, recipe: Recipe) -> tuple[Work, Work]:
        """The work in a batch, for `flop_count`: without padding, and with it."""
        raise NotImplementedError(f"{type(self).__name__} has a `flop_count`, so it must define `work`")

    def plan(self, recipe: Recipe) -> Any:
        """The recipe's model on the meta device: nothing is downloaded or allocated."""
        import torch

        from cosmos_train.models.pretrained import PlannedVocabulary

        with torch.device("meta"):
            return self.build(recipe, PlannedVocabulary.of(recipe.model.language), weights=False)

    def size(self, recipe: Recipe) -> Size:
        """Rows for `cosmos_train size`. Default: parameters by `part_of`, no operations."""
        from cosmos_train.models.flops import count_parameters

        return Size(count_parameters(self.plan(recipe), self.part_of), {})

    def part_of(self, name: str) -> str:
        """The part of the model that a parameter belongs to. Default: the module at the top of its name."""
        return name.partition(".")[0]

    # Weights on disk

    def export(self, out: Path, trained: Trained, model: Any, part: str) -> None:
        """Writes a model as a self-contained folder. part: which half of a model that has two.

        Use the functions of `families.folder`.
        """
        raise self.cannot("be exported", "its checkpoints stay in the run's folder")

    def load_exported(self, folder: Path) -> tuple[Trained, Any]:
        """Loads a folder that `export` wrote, on the CPU, in evaluation mode."""
        raise self.cannot(f"be read from the exported folder {folder}", "give a run or a checkpoint")

    def recognises(self, path: Path) -> bool:
        """Whether a file or folder that is neither a run nor an exported folder holds weights of this family."""
        return False

    def load_file(self, model: Any, path: Path, recipe: Recipe) -> None:
        """Loads weights that it recognises into a model, for `train.start_from`."""
        raise self.cannot(f"begin with {path}", "give a run or a checkpoint")

    def load_released(self, path: Path) -> tuple[Trained, Any]:
        """Loads weights that it recognises without a recipe, as `load_exported` does."""
        raise self.cannot(f"be made of {path} without a recipe", "begin a run with it: train.start_from")

    # Experts

    def drawn_outputs(self, model: Any) -> list[Tensor]:
        """Outputs for inputs drawn with a fixed seed. `upcycle` uses them to check that outputs stay the same.

        `families.drawn` draws inputs.
        """
        raise self.cannot("be upcycled", "choose a family with experts: cosmo, cosmos or cumo")

    def cannot(self, what: str, do: str) -> UserError:
        """The error for a feature that the family does not support."""
        return UserError(f"a {self.name} cannot {what}", do, 2)


def exported_kind(path: Path) -> str | None:
    """The kind of the model in a folder that `families.folder` wrote; None if it is not such a folder."""
    config = path / "config.json"
    if not config.is_file():
        return None
    try:
        found = json.loads(config.read_text())
    except ValueError:
        return None
    kind = found.get("model_type") if isinstance(found, dict) and "format_version" in found else None
    return str(kind) if kind else None


def _validate(schema: type[BaseModel], options: dict[str, Any], key: str, name: str) -> None:
    try:
        schema.model_validate(options)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([key, *map(str, first["loc"])])
        known = ", ".join(schema.model_fields) or "none"
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{where}: {message}", f"options of a {name}: {known}", 2) from None
