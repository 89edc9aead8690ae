"""Checkpoints: one folder each, whole or absent, and a `latest` file that a kill cannot corrupt.

    OUT/checkpoints/step-00000100/   shard-*.safetensors  state.json  recipe.yaml  tokenizer.json
    OUT/checkpoints/latest           the name of the newest whole checkpoint

Every rank writes the tensors it holds (torch.distributed.checkpoint, as safetensors: reading never unpickles), so a
checkpoint loads on any number of processes, sharded or not. Training waits while tensors are copied to memory (one copy
of weights and optimiser state). A background thread writes and syncs them and renames the folder; then it updates
`latest`. There is no random state to save: the loop seeds it at each step from (seed, step, rank).
"""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cosmos_train import recipe as recipes
from cosmos_train.errors import UserError
from cosmos_train.families.base import Trained
from cosmos_train.models.misfit import misfit
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from cosmos_train.train.parallel import World
from cosmos_train.train.places import LATEST, flat, whole
from cosmos_train.train.places import find as find
from cosmos_train.train.places import latest as latest
from interlink.storage import sync_file, sync_folder

_TEMPORARY = ".tmp-"

# torch warns at every save and load of a single process, although no_dist asks for exactly that.
warnings.filterwarnings("ignore", "torch.distributed is disabled, unavailable or uninitialized")


@dataclass(frozen=True)
class State:
    """Progress of a run.

    step: optimiser steps done; data: state of the stream; bad: samples that were unreadable; corpus: signature of the
    data that the stream's state refers to; tokenizer: names of its special tokens; world: number of processes that
    wrote it; guard, scaler: state of the loss guard and of the fp16 loss scaling.
    """

    step: int
    data: dict[str, Any]
    bad: int
    corpus: str
    tokenizer: dict[str, str]
    world: int = 1
    guard: dict[str, float] = field(default_factory=dict)
    scaler: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Loaded:
    """The small parts of a checkpoint. `restore` reads weights and optimiser state into existing objects."""

    folder: Path
    recipe: Recipe
    state: State
    tokenizer: Tokenizer

    @property
    def trained(self) -> Trained:
        return Trained(self.folder, self.recipe, self.tokenizer, self.state.step, self.state.corpus)


class Saver:
    """Writes the checkpoints of one run below `out`, one at a time, in the background. All ranks call all methods."""

    def __init__(self, out: Path, recipe: Recipe, tokenizer: Tokenizer, world: World) -> None:
        self.folder = out / "checkpoints"
        self.recipe = recipe
        self.tokenizer = tokenizer
        self.world = world
        self.newest = latest(out)
        self._thread = ThreadPoolExecutor(1, "checkpoint")
        self._pending: Future[Path] | None = None

    @property
    def failed(self) -> bool:
        """Whether the running save has already failed; `wait` raises its error."""
        return self._pending is not None and self._pending.done() and self._pending.exception() is not None

    def save(self, state: State, tensors: Mapping[str, Tensor]) -> None:
        """Starts a save and returns when `tensors` may change again. Raises what `wait` raises for the previous
        save."""
        self.wait()
        target = self.folder / f"step-{state.step:08d}"
        temporary = self.folder / f"{_TEMPORARY}{target.name}"
        problem: Exception | None = None
        if self.world.first:
            try:
                self._prepare(temporary, state)
            except OSError as error:
                problem = _refused(target, error)
        self.world.all_raise(problem)
        staged = self._begin(temporary, tensors)
        self._pending = self._thread.submit(self._finish, staged, temporary, target)

    def wait(self) -> Path | None:
        """Waits for the running save and returns the newest whole checkpoint. Raises UserError, on all ranks, if it
        failed."""
        if self._pending is not None:
            pending, self._pending = self._pending, None
            problem: Exception | None = None
            try:
                self.newest = pending.result()
            except UserError as error:
                problem = error
            self.world.all_raise(problem)
        return self.newest

    def close(self) -> None:
        """Waits for the running save, failed or not, and stops the thread."""
        self._thread.shutdown(wait=True)

    def _prepare(self, temporary: Path, state: State) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for old in self.folder.glob(f"{_TEMPORARY}*"):  # left by a killed run
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        temporary.mkdir()
        self.tokenizer.save(temporary / "tokenizer.json")
        (temporary / "recipe.yaml").write_text(recipes.dump(self.recipe))
        (temporary / "state.json").write_text(json.dumps(asdict(state), indent=1))
        for file in temporary.iterdir():
            sync_file(file)

    def _begin(self, temporary: Path, tensors: Mapping[str, Tensor]) -> Future[Any]:
        from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
        from torch.distributed.checkpoint.state_dict_saver import async_save

        writer = HuggingFaceStorageWriter(str(temporary), save_distributed=True)
        begun = async_save(
            dict(tensors), storage_writer=writer, process_group=self.world.files, no_dist=self.world.size == 1
        )
        assert isinstance(begun, Future)  # the other type is for background staging, which is not requested
        return begun

    def _finish(self, staged: Future[Any], temporary: Path, target: Path) -> Path:
        from torch.distributed.checkpoint.api import CheckpointException

        try:
            staged.result()
            if self.world.first:
                self._commit(temporary, target)
        except (OSError, RuntimeError, CheckpointException) as error:  # each library reports a full disk differently
            if self.world.first:
                shutil.rmtree(temporary, ignore_errors=True)
            raise _refused(target, error) from error
        return target

    def _commit(self, temporary: Path, target: Path) -> None:
        for file in temporary.iterdir():  # torch syncs a file before its last bytes have left its buffer
            sync_file(file)
        sync_folder(temporary)
        _remove(target)
        temporary.rename(target)
        sync_folder(self.folder)
        _point_at(self.folder, target.name)
        for old in whole(self.folder)[: -self.recipe.train.keep]:
            _remove(old)


def load(path: Path) -> Loaded:
    """Reads the checkpoint at `path`: a checkpoint, or the latest one of a run's folder. UserError if there is none."""
    if path.is_file():
        raise UserError(
            f"{path} is a file, not a run or a checkpoint",
            "give a run's folder; only evaluate --task and train.start_from take files (released COSMOS weights)",
            2,
        )
    folder = find(path)
    if folder is None:
        raise UserError(f"there is no checkpoint in {path}", "give a run's folder or one of its checkpoints", 2)
    try:
        state = State(**json.loads((folder / "state.json").read_text()))
        recipe = recipes.load(str(folder / "recipe.yaml"))
        tokenizer = Tokenizer.load(folder / "tokenizer.json", state.tokenizer)
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise UserError(f"the checkpoint {folder} is damaged: {error}", "use another one") from error
    return Loaded(folder, recipe, state, tokenizer)


def tensors_of(
    model: nn.Module, optimiser: torch.optim.Optimizer | None = None, average: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """All tensors of a checkpoint by name: `model.*`, `optimiser.*`, `average.*`; tied weights once."""
    found = {f"model.{name}": tensor.detach() for name, tensor in _weights(model)}
    for name, parameter in model.named_parameters() if optimiser else ():
        for key, value in optimiser.state.get(parameter, {}).items():  # type: ignore[union-attr]
            found[f"optimiser.{name}.{key}"] = value
    return found | {f"average.{name}": tensor for name, tensor in (average or {}).items()}


def restore(
    loaded: Loaded,
    model: nn.Module,
    optimiser: torch.optim.Optimizer | None = None,
    average: Mapping[str, Tensor] | None = None,
    world: World | None = None,
    use_average: bool = False,
) -> None:
    """Reads the weights into `model`, and optimiser state and moving average if these are given.

    If no average was saved, it starts at the weights. use_average: reads the average into the model instead of its
    weights. Raises UserError if the checkpoint is of another model (naming what differs) or damaged.
    """
    from safetensors import SafetensorError
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.metadata import BytesStorageMetadata as BytesMetadata
    from torch.distributed.checkpoint.state_dict_loader import load as read

    try:
        metadata = HuggingFaceStorageReader(str(loaded.folder)).read_metadata().state_dict_metadata
        saved = {name: tuple(entry.size) for name, entry in metadata.items() if not isinstance(entry, BytesMetadata)}
        wanted = {f"model.{name}": tensor.detach() for name, tensor in _weights(model)}
        _compare(loaded.folder, {name: tuple(t.shape) for name, t in wanted.items()}, saved)
        if use_average:
            names = {name: "average." + name.removeprefix("model.") for name in wanted}
            if not any(name in saved for name in names.values()):
                raise UserError(f"{loaded.folder} holds no moving average", "train with train.ema_decay", 2)
            wanted = {names[name] if names[name] in saved else name: tensor for name, tensor in wanted.items()}
        if optimiser is not None:
            wanted |= _optimiser_tensors(model, optimiser, saved)
        begun = {name for name in average or () if f"average.{name}" not in saved}
        wanted |= {f"average.{name}": tensor for name, tensor in (average or {}).items() if name not in begun}
        read(
            wanted,
            storage_reader=HuggingFaceStorageReader(str(loaded.folder)),
            process_group=world.files if world else None,
            no_dist=world is None or world.size == 1,
        )
    except (OSError, RuntimeError, ValueError, KeyError, SafetensorError, CheckpointException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"the checkpoint {loaded.folder} is damaged: {reason}", "use another one") from error
    for name in begun:
        (average or {})[name].copy_(wanted[f"model.{name}"])


def differences(saved: Recipe, asked: Recipe, blocks: Sequence[str] = ()) -> list[str]:
    """`key saved → asked` for each setting that differs between two recipes, within `blocks` or everywhere."""
    before, after = dict(flat(saved.model_dump(mode="json"))), dict(flat(asked.model_dump(mode="json")))
    return [
        f"{key} {before.get(key)!r} → {after.get(key)!r}"
        for key in sorted(before.keys() | after.keys())
        if (not blocks or key.partition(".")[0] in blocks) and before.get(key) != after.get(key)
    ]


def _weights(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Parameters and buffers of a module, each tensor once."""
    yield from model.named_parameters()
    lasting = model.state_dict(keep_vars=True).keys()
    yield from ((name, buffer) for name, buffer in model.named_buffers() if name in lasting)


def _optimiser_tensors(
    model: nn.Module, optimiser: torch.optim.Optimizer, saved: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Creates the optimiser state to read into, by name."""
    found = {}
    fused = any(group.get("fused") for group in optimiser.param_groups)
    for name, parameter in model.named_parameters():
        prefix = f"optimiser.{name}."
        keys = [key.removeprefix(prefix) for key in saved if key.startswith(prefix)]
        for key in (key for key in keys if "." not in key):
            if saved[prefix + key] == tuple(parameter.shape) and key != "step":
                room = torch.zeros_like(parameter)
            else:
                room = torch.zeros(saved[prefix + key], device=parameter.device if fused else "cpu")
            optimiser.state[parameter][key] = found[prefix + key] = room
    return found


def _compare(folder: Path, wanted: Mapping[str, tuple[int, ...]], saved: Mapping[str, tuple[int, ...]]) -> None:
    of_model = {name: shape for name, shape in saved.items() if name in wanted or name.startswith("model.")}
    if different := misfit(wanted, of_model):
        raise UserError(
            f"the checkpoint {folder} is of another model: {different}".replace("model.", ""),
            "use the recipe saved in it",
        )


def _refused(target: Path, error: BaseException) -> UserError:
    reason = next((line for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
    return UserError(
        f"cannot save a checkpoint to {target}: {reason.strip()}",
        "earlier checkpoints are intact: free disk space (a smaller train.keep helps), then resume with --resume",
    )


def _remove(checkpoint: Path) -> None:
    """Takes its name away first: what has the name of a checkpoint is whole, also while it is removed.

    What cannot be removed is left to the next save.
    """
    unnamed = checkpoint.with_name(f"{_TEMPORARY}old-{checkpoint.name}")
    with suppress(OSError):
        checkpoint.rename(unnamed)
        shutil.rmtree(unnamed, ignore_errors=True)


def _point_at(folder: Path, name: str) -> None:
    temporary = folder / f"{_TEMPORARY}{LATEST}"
    temporary.write_text(name + "\n")
    sync_file(temporary)
    temporary.replace(folder / LATEST)
    sync_folder(folder)
