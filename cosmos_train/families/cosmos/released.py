"""Reads and writes COSMOS checkpoints as the authors released them, and reads plain open_clip ones.

A released file holds `student` and `teacher` (names of open_clip's CLIP and 21 more, with the prefix `module.` if DDP
was used), `epoch` and `name`. Names and shapes are checked. Only tensors and plain values are unpickled. Costs one read
of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cosmos_train.errors import UserError
from cosmos_train.families.cosmos.model import EXTRA, Cosmos, Student
from cosmos_train.models.misfit import misfit
from cosmos_train.models.weights import load_tensors

_SCALES = ("logit_scale", "distill_logit_scale")  # without dimensions in files, with one here
_SHOWN = 5  # keys that an error names
_MOE = ".mlp.gate.weight"


def read(path: Path) -> dict[str, dict[str, Tensor]]:
    """The weights in a released file by part, `student` and `teacher`, under plain names. Raises UserError."""
    found = load_tensors(path)
    if not isinstance(found, dict) or not isinstance(found.get("student"), dict):
        there = ", ".join(sorted(map(str, found))[:_SHOWN]) if isinstance(found, dict) else type(found).__name__
        raise UserError(f"{path} holds no COSMOS student, but {there}", "give a COSMOS checkpoint")
    parts = {part: found[part] for part in ("student", "teacher") if isinstance(found.get(part), dict)}
    return {part: {name.removeprefix("module."): t for name, t in state.items()} for part, state in parts.items()}


def fill(student: Student, state: Mapping[str, Tensor], source: str) -> None:
    """Loads released weights into a student (or teacher). UserError if they are of another architecture."""
    wanted = {name: tuple(_outside(name, tensor).shape) for name, tensor in student.state_dict().items()}
    if different := misfit(wanted, {name: tuple(tensor.shape) for name, tensor in state.items()}):
        raise UserError(f"{source} does not fit the recipe's model: {different}", _advice(state, student))
    student.load_state_dict({name: state[name].reshape(t.shape) for name, t in student.state_dict().items()})


def start(model: Cosmos, path: Path) -> None:
    """Loads both halves of a model from a released file. If it has no teacher, the student is used for both."""
    parts = read(path)
    fill(model.student, parts["student"], f"the student in {path}")
    fill(model.teacher, parts.get("teacher", parts["student"]), f"the teacher in {path}")


def write(model: Cosmos, path: Path, name: str, epoch: int) -> None:
    """Writes a file in the released layout."""
    parts = {part: released_state(getattr(model, part)) for part in ("student", "teacher")}
    torch.save({"epoch": epoch, "name": name, **parts}, path)


def released_state(student: nn.Module) -> dict[str, Tensor]:
    """A student's (or teacher's) weights under the released names and shapes."""
    state = student.state_dict()
    if any(name.endswith(_MOE) for name in state):
        raise UserError(
            "a mixture of experts cannot be written to COSMOS's or open_clip's files", "export it before upcycling"
        )
    return {name: _outside(name, tensor).detach().clone() for name, tensor in state.items()}


def to_open_clip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A plain open_clip CLIP from a COSMOS state: without the parts for training only."""
    return {name: tensor for name, tensor in state.items() if name not in EXTRA}


def from_open_clip(state: Mapping[str, Tensor], student: Student) -> dict[str, Tensor]:
    """A COSMOS state from a plain open_clip CLIP: missing parts are the student's own, newly drawn."""
    own = released_state(student)
    return {**{name: own[name] for name in EXTRA}, **state}


def open_clip_config(student: Student) -> dict[str, Any]:
    """The config with which open_clip builds the same towers."""
    visual = student.visual
    vision_block: Any = visual.transformer.resblocks[0]
    text_block: Any = student.transformer.resblocks[0]
    width, vocabulary = int(student.ln_final.weight.shape[0]), int(student.token_embedding.weight.shape[0])
    return {
        "embed_dim": int(student.text_projection.shape[1]),
        "vision_cfg": {
            "image_size": visual.size,
            "layers": len(visual.transformer.resblocks),
            "width": visual.width,
            "head_width": visual.width // vision_block.attn.heads,
            "patch_size": visual.patch,
            "mlp_ratio": vision_block.mlp.c_fc.out_features / visual.width,
        },
        "text_cfg": {
            "context_length": student.context,
            "vocab_size": vocabulary,
            "width": width,
            "heads": text_block.attn.heads,
            "layers": len(student.transformer.resblocks),
            **({} if student.end == vocabulary - 1 else {"pool_type": "eos", "eos_id": student.end}),
        },
    }


def _outside(name: str, tensor: Tensor) -> Tensor:
    return tensor.reshape(()) if name in _SCALES else tensor


def _advice(state: Mapping[str, Tensor], student: Student) -> str:
    patch = state.get("visual.conv1.weight")
    width = state.get("text_projection")
    if patch is None or patch.ndim != 4 or width is None or "distill_logit_scale" not in state:
        return "give a COSMOS checkpoint, or a recipe of its architecture"
    layers = len({name.split(".")[3] for name in state if name.startswith("visual.transformer.resblocks.")})
    visual = student.visual
    ours = (len(visual.transformer.resblocks), visual.width, visual.patch, student.text_projection.shape[1])
    return (
        f"it is a ViT of {layers} layers, width {patch.shape[0]}, patch {patch.shape[-1]}, embedding {width.shape[1]}, "
        f"the recipe's has {', '.join(map(str, ours))}: use a recipe with the file's"
    )
