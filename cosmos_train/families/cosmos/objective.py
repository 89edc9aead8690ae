"""COSMOS's objective: contrastive loss over views, and distillation of the teacher into cross-modal features.

    L = clip_weight * L_clip + distill_weight * L_distill            (Kim et al. 2024; both weights 1)

`compute` is one forward pass over a batch: the student sees every view, large and small crops in one pass each, the
teacher sees the global ones. `accumulate` treats a step's batches as one: if there are several, features are computed
first, then the loss over all of them, then each batch runs again to backpropagate its gradients (GradCache, Gao et al.
2021); the teacher's features are kept, so it runs once. Costs the student's forward pass twice.

With `distill_weight` 0 it is a plain CLIP: teacher and cross-attention see one row, small crops of pictures are left
out. With one view it equals open_clip's loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from cosmos_train.families.accumulation import RandomState, mean_over_processes
from cosmos_train.families.base import StepContext
from cosmos_train.families.cosmos.distill import CosmosLosses, Views, cosmos_losses
from cosmos_train.families.cosmos.model import Cosmos, Student
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.models.routing import RoutingPass, record_routing
from cosmos_train.stream.views.batch import ViewBatch

SCALES = ("logit_scale", "distill_logit_scale")

Taught = tuple[Tensor, Tensor]  # the teacher's unit vectors (G, b, E) of global images and global texts


def compute(
    model: Cosmos, batch: ViewBatch, settings: ObjectiveSettings, taught: Taught | None = None
) -> tuple[Views, Tensor]:
    """Features of student and teacher for a batch, and the routers' loss (0 without experts).

    taught: the teacher's features from an earlier pass over this batch. A batch without readable samples still runs, on
    a dummy sample.
    """
    rows = len(batch.keys)
    batch = _with_a_row(batch)
    if not settings.distill_weight:
        views, routing = _plain(model, batch, settings)
        return _first(views, rows, len(batch.images[0])), routing
    large, small = model.normalised(batch.images.flatten(0, 1)), model.normalised(batch.crops.flatten(0, 1))
    count = len(batch.images[0])
    with record_routing(model.student) as calls:
        images, pooled = model.student.images(large), [] if not len(small) else [model.student.visual(small)[0]]
        first, said = _read(model.student, batch.texts, len(batch.images))
    seen = torch.unflatten(torch.cat([images.pooled, *pooled]), 0, (-1, count))
    # Only the first global view's tokens are attended to, in either modality.
    cross_image, cross_text = model.student.cross(seen, said, images.tokens[:count], first)
    routing = _routing(calls, settings, seen)
    if taught is None:
        taught = teach(model, batch, large)
    views = Views(
        F.normalize(seen, dim=-1), F.normalize(said, dim=-1), cross_image, cross_text, taught[0], taught[1],
        model.student.logit_scale.exp(), model.student.distill_logit_scale.exp(),
    )  # fmt: skip
    return _first(views, rows, count), routing


def _plain(model: Cosmos, batch: ViewBatch, settings: ObjectiveSettings) -> tuple[Views, Tensor]:
    """Features of the student alone: of the large crops and all texts."""
    student, large = model.student, model.normalised(batch.images.flatten(0, 1))
    count = len(batch.images[0])
    with record_routing(student) as calls:
        seen = torch.unflatten(student.visual(large)[0], 0, (-1, count))
        texts = (batch.texts[: len(batch.images)], batch.texts[len(batch.images) :])
        said = torch.cat([_pooled(student, part) for part in texts if len(part)])
    routing = _routing(calls, settings, seen)
    # One row runs through what this loss leaves out: replicas expect a gradient of every weight, shards a call.
    with torch.no_grad():
        model.teacher.images(large[:1])
        _pooled(model.teacher, batch.texts[:1, :1])
    images, first = student.images(large[:1]), student.texts(batch.texts[0][:1])
    cross = student.cross(images.pooled[None], first.pooled[None], images.tokens, first.tokens)
    unused = sum((part.float().sum() * 0 for part in cross), seen.new_zeros((), dtype=torch.float32))
    none = seen.new_zeros((0, *seen.shape[1:]))
    views = Views(
        F.normalize(seen, dim=-1), F.normalize(said, dim=-1), none, none, none, none,
        student.logit_scale.exp(), student.distill_logit_scale.exp(),
    )  # fmt: skip
    return views, routing + unused


def _first(views: Views, rows: int, count: int) -> Views:
    """The views without the dummy sample of an empty batch."""
    return views.with_features([part[:, :rows] for part in views.features]) if rows < count else views


@torch.no_grad()
def teach(model: Cosmos, batch: ViewBatch, large: Tensor) -> Taught:
    """The teacher's unit vectors of a batch's global views, plain: without its cross-attention."""
    count = len(batch.images[0])
    seen = model.teacher.images(large).pooled
    said = _pooled(model.teacher, batch.texts[: len(batch.images)])
    return F.normalize(torch.unflatten(seen, 0, (-1, count)), dim=-1), F.normalize(said, dim=-1)


def _read(student: Student, texts: Tensor, long: int) -> tuple[Tensor, Tensor]:
    """The tokens (B, L, E) of the first of texts (V, B, L), padding included, and the pooled features (V, B, E).

    long: number of captions of several sentences; long and short ones run in separate passes, each up to its longest.
    """
    first = student.texts(texts[0])
    others = [_pooled(student, part) for part in (texts[1:long], texts[long:]) if len(part)]
    return first.tokens, torch.cat([first.pooled[None], *others])


def _pooled(tower: Student, texts: Tensor) -> Tensor:
    """(V, B, E): texts are encoded up to the longest end. Tokens after a text's end do not affect its feature."""
    ends = (texts == tower.end).int().argmax(-1)
    found = tower.read(texts[..., : int(ends.max()) + 1].flatten(0, 1), tower.end)[0]
    return torch.unflatten(found, 0, (len(texts), -1))


def _routing(calls: RoutingPass, settings: ObjectiveSettings, like: Tensor) -> Tensor:
    balance, z = calls.losses() or (like.new_zeros((), dtype=torch.float32),) * 2
    return settings.balance_weight * balance + settings.router_z_weight * z


def accumulate(
    forward: Callable[..., tuple[Views, Tensor]],
    batches: Sequence[ViewBatch],
    settings: ObjectiveSettings,
    context: StepContext,
) -> dict[str, Tensor]:
    """Runs backward for each batch of a step; arguments and losses as of `Family.step`."""
    sums = {name: torch.zeros((), device=batches[0].images.device) for name in ("loss", "clip", "distill", "routing")}
    groups = _groups(batches, settings)
    last = groups[-1][-1]
    for group in groups:
        share = len(group) / len(batches)
        if len(group) == 1:
            with context.no_sync(group[0] == last):
                with context.autocast():
                    views, routing = forward(batches[group[0]], settings)
                found = cosmos_losses(_precise(views))
                context.backward(share * _total(found, settings) + routing.float() / len(batches))
        else:
            found, routing = _together(forward, batches, group, last, share, settings, context)
        sums["clip"] += share * found.clip.detach()
        sums["distill"] += share * found.distill.detach()
        sums["routing"] += share * routing.detach()
    sums["loss"] = _total(CosmosLosses(sums["clip"], sums["distill"]), settings) + sums["routing"]
    return mean_over_processes(sums)


def _together(
    forward: Callable[..., tuple[Views, Tensor]],
    batches: Sequence[ViewBatch],
    group: Sequence[int],
    last: int,
    share: float,
    settings: ObjectiveSettings,
    context: StepContext,
) -> tuple[CosmosLosses, Tensor]:
    """The loss over several batches, with gradients backpropagated through each; and the mean of their routers'
    losses."""
    randoms, leaves, routed = [], [], torch.zeros((), device=batches[0].images.device)
    for number in group:
        randoms.append(RandomState.now(batches[number].images.device))
        with torch.no_grad(), context.autocast():
            leaves.append(_leaf(forward(batches[number], settings)[0]))
    # The scales are factors of the one loss: the first batch's are used for all, so their gradient enters once.
    parts = zip(*(leaf.features for leaf in leaves), strict=True)
    pool = leaves[0].with_features([torch.cat(part, 1) for part in parts])
    found = cosmos_losses(pool)
    wanted = [part for leaf in leaves for part in leaf[:4]]
    *rows, scale, distill_scale = torch.autograd.grad(
        share * _total(found, settings), [*wanted, pool.scale, pool.distill_scale], materialize_grads=True
    )
    for place, number in enumerate(group):
        once = float(place == 0)
        gradients = (*rows[4 * place : 4 * place + 4], scale * once, distill_scale * once)
        taught = (leaves[place].teacher_image, leaves[place].teacher_text)
        with context.no_sync(number == last):
            randoms[place].restore()
            with context.autocast():
                views, routing = forward(batches[number], settings, taught)
            outputs = (*views[:4], views.scale, views.distill_scale)
            surrogate = sum(
                ((one.float() * gradient).sum() for one, gradient in zip(outputs, gradients, strict=True)),
                views.scale.new_zeros(()),
            )
            context.backward(surrogate + routing.float() / len(batches))
        routed = routed + routing.detach() / len(group)
    return found, routed


def _total(losses: CosmosLosses, settings: ObjectiveSettings) -> Tensor:
    return settings.clip_weight * losses.clip + settings.distill_weight * losses.distill


def _groups(batches: Sequence[ViewBatch], settings: ObjectiveSettings) -> list[list[int]]:
    """Groups of batch numbers with shared candidates: the batches of one source, or each batch alone."""
    if settings.pool == "batch":
        return [[number] for number in range(len(batches))]
    sources = dict.fromkeys(batch.source for batch in batches)
    return [[number for number, batch in enumerate(batches) if batch.source == source] for source in sources]


def _precise(views: Views) -> Views:
    return Views(*(part.float() for part in views))


def _leaf(views: Views) -> Views:
    """The same numbers in fp32, as leaves that collect gradients."""
    return Views(*(part.detach().float().requires_grad_(number not in (4, 5)) for number, part in enumerate(views)))


def _with_a_row(batch: ViewBatch) -> ViewBatch:
    """The batch with at least one row, of padding: sharded weights need a call on every process."""
    if len(batch.keys):
        return batch
    shapes = ((part.shape[0], 1, *part.shape[2:]) for part in (batch.images, batch.crops, batch.texts))
    images, crops, texts = (batch.texts.new_zeros(shape) for shape in shapes)
    return replace(batch, images=images.byte(), crops=crops.byte(), texts=texts)
