"""A mixture of experts in place of a feed-forward network (CuMo, Li et al. 2024, arXiv 2405.05949).

Each token is routed to its gate's top k experts, weighted by their renormalised probabilities; no capacity, no dropped
tokens, no noise. Tokens are sorted by expert and all experts run as one grouped product, so the cost is that of k
feed-forward networks, one sort and two gathers, for any number of experts. When it is made from a dense network
(`upcycled`), all experts are equal and the weights sum to 1: the outputs are the same for any gate.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.errors import UserError
from cosmos_train.models.routing import Router, Routing, place_of
from cosmos_train.models.settings import ExpertSettings

Activation = Literal["gelu", "quick_gelu", "swiglu"]
_ALIGNED = 16  # bytes; grouped products need row sizes that are multiples of it


class MixtureMlp(Router):
    """Tokens (B, N, D) to (B, N, D').

    The experts' matrices are stacked in one (E rows, columns) matrix, so that FSDP shards them evenly on any number of
    processes. It reports each call in training. sample_wise: balance each item (picture) by itself, instead of all
    tokens together (text).
    """

    def __init__(
        self, width: int, inner: int, out: int, experts: int, top_k: int, activation: Activation, bias: bool,
        sample_wise: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if not 0 < top_k <= experts:
            raise ValueError(f"top_k {top_k} is more than the {experts} experts")
        self.experts, self.top_k, self.activation, self.sample_wise = experts, top_k, activation, sample_wise
        rows = 2 * inner if activation == "swiglu" else inner
        self.gate = nn.Linear(width, experts, bias=False)
        self.first = nn.Parameter(torch.empty(experts * rows, width))
        self.second = nn.Parameter(torch.empty(experts * out, inner))
        self.first_bias = nn.Parameter(torch.empty(experts * rows)) if bias else None
        self.second_bias = nn.Parameter(torch.empty(experts * out)) if bias else None

    def forward(self, tokens: Tensor) -> Tensor:
        flat = tokens.reshape(-1, tokens.shape[-1])
        with torch.autocast(flat.device.type, enabled=False):
            logits = F.linear(flat.to(self._precise(flat)), self.gate.weight.to(self._precise(flat)))
        probabilities = logits.softmax(-1)
        weights, choice = probabilities.topk(self.top_k, -1)
        weights = weights / weights.sum(-1, keepdim=True)
        if self.training:
            # also when no pass is recorded: a recomputed block must save the same tensors
            self.report(self._routing(logits, probabilities, choice, tokens.shape[:-1]))
        expert = choice.flatten()
        order = expert.argsort(stable=True)
        back = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
        ends = F.one_hot(expert, self.experts).sum(0).cumsum(0).to(torch.int32)
        inner = self._product(_routed(flat, order, back, self.top_k), self.first, self.first_bias, ends)
        outcome = self._product(_activate(inner, self.activation), self.second, self.second_bias, ends)
        outcome = torch.unflatten(_routed(outcome, back, order, 1), 0, choice.shape)  # (tokens, k, D')
        mixed = (outcome * weights.to(outcome.dtype)[..., None]).sum(1)
        return mixed.reshape(*tokens.shape[:-1], -1)

    @staticmethod
    def _precise(tokens: Tensor) -> torch.dtype:
        return torch.float64 if tokens.dtype == torch.float64 else torch.float32

    def _product(self, rows: Tensor, stacked: Tensor, bias: Tensor | None, ends: Tensor) -> Tensor:
        """Multiplies each row with its expert's matrix. Rows are sorted; those of expert e end at ends[e]."""
        matrices = torch.unflatten(stacked, 0, (self.experts, -1))
        biases = None if bias is None else torch.unflatten(bias, 0, (self.experts, -1))
        if torch.is_autocast_enabled(rows.device.type):
            dtype = torch.get_autocast_dtype(rows.device.type)
            rows, matrices = rows.to(dtype), matrices.to(dtype)
            biases = None if biases is None else biases.to(dtype)
        return grouped(rows, matrices, biases, ends)

    def _routing(self, logits: Tensor, probabilities: Tensor, choice: Tensor, shape: torch.Size) -> Routing:
        chosen = F.one_hot(choice, self.experts).to(probabilities.dtype)  # (tokens, k, E)
        items = shape[0] if self.sample_wise and len(shape) > 1 else 1
        share = probabilities.reshape(items, -1, self.experts).mean(1)
        first = chosen[:, 0].reshape(items, -1, self.experts).mean(1)
        balance = self.experts**2 * (share * first).mean()
        return Routing(balance, logits.logsumexp(-1).square().mean(), chosen.detach().mean((0, 1)), len(chosen))


class _Routed(torch.autograd.Function):
    """Rows (n, D) repeated in the order of their n · k slots. Backward inverts the order and sums over each row's
    slots; plain indexing would add up row by row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, order: Tensor, back: Tensor, k: int) -> Tensor:
        ctx.save_for_backward(back)
        ctx.k = k
        return rows.index_select(0, order // k if k > 1 else order)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (back,) = ctx.saved_tensors
        places = gradient.index_select(0, back)
        return (torch.unflatten(places, 0, (-1, ctx.k)).sum(1) if ctx.k > 1 else places), None, None, None


def _routed(rows: Tensor, order: Tensor, back: Tensor, k: int) -> Tensor:
    found: Tensor = _Routed.apply(rows, order, back, k)  # type: ignore[no-untyped-call]
    return found


def grouped(rows: Tensor, matrices: Tensor, biases: Tensor | None, ends: Tensor) -> Tensor:
    """rows (n, D), matrices (E, D', D), biases (E, D'), ends (E,) int32: rows up to ends[0] with the first matrix, …

    In bf16 one kernel of torch, else (it supports no other type when compiling) one product per expert.
    """
    aligned = all(size * rows.element_size() % _ALIGNED == 0 for size in matrices.shape[1:])
    if aligned and rows.dtype == torch.bfloat16:
        found: Tensor = F.grouped_mm(rows, matrices.transpose(1, 2), offs=ends)
        if biases is None:
            return found
        number = torch.searchsorted(ends, torch.arange(len(rows), device=rows.device, dtype=torch.int32), right=True)
        return found + F.one_hot(number, len(matrices)).to(found.dtype) @ biases
    return _by_expert(rows, matrices, biases, ends)  # type: ignore[no-any-return]


@torch.library.custom_op("cosmos_train::by_expert", mutates_args=())
def _by_expert(rows: Tensor, matrices: Tensor, biases: Tensor | None, ends: Tensor) -> Tensor:
    found = rows.new_empty(len(rows), matrices.shape[1])
    for number, (part, into) in enumerate(zip(_parts(rows, ends), _parts(found, ends), strict=True)):
        if biases is None:
            torch.mm(part, matrices[number].T, out=into)
        else:
            torch.addmm(biases[number], part, matrices[number].T, out=into)
    return found


@torch.library.custom_op("cosmos_train::by_expert_backward", mutates_args=())
def _by_expert_backward(
    gradient: Tensor, rows: Tensor, matrices: Tensor, ends: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of rows, matrices and biases."""
    of_rows, of_matrices = torch.empty_like(rows), torch.empty_like(matrices)
    of_biases = matrices.new_empty(matrices.shape[:2])
    several = zip(_parts(rows, ends), _parts(of_rows, ends), _parts(gradient, ends), strict=True)
    for number, (part, of_part, given) in enumerate(several):
        torch.mm(given, matrices[number], out=of_part)
        torch.mm(given.T, part, out=of_matrices[number])
        torch.sum(given, 0, out=of_biases[number])
    return of_rows, of_matrices, of_biases


def _parts(rows: Tensor, ends: Tensor) -> tuple[Tensor, ...]:
    return torch.split(rows, ends.diff(prepend=ends.new_zeros(1)).tolist())


def _keep(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None, Tensor], output: Tensor) -> None:
    rows, matrices, biases, ends = inputs
    ctx.biased = biases is not None
    ctx.save_for_backward(rows, matrices, ends)


def _carry_back(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor | None, None]:
    of_rows, of_matrices, of_biases = _by_expert_backward(gradient.contiguous(), *ctx.saved_tensors)
    return of_rows, of_matrices, of_biases if ctx.biased else None, None


_by_expert.register_fake(lambda rows, matrices, _, __: rows.new_empty(len(rows), matrices.shape[1]))
_by_expert_backward.register_fake(
    lambda _, rows, matrices, __: (
        torch.empty_like(rows), torch.empty_like(matrices), matrices.new_empty(matrices.shape[:2])
    )
)  # fmt: skip
_by_expert.register_autograd(_carry_back, setup_context=_keep)


def _activate(inner: Tensor, activation: Activation) -> Tensor:
    if activation == "swiglu":
        gate, value = inner.chunk(2, -1)
        return F.silu(gate) * value
    return inner * torch.sigmoid(1.702 * inner) if activation == "quick_gelu" else F.gelu(inner)


class _Dense(NamedTuple):
    """The parts of a feed-forward network."""

    first: list[nn.Linear]
    second: nn.Linear
    activation: Activation


def _taken_apart(mlp: Any) -> _Dense | None:
    """The parts of a network of a known type: our towers', open_clip's, a connector, a gated LM's."""
    if isinstance(mlp, MixtureMlp):
        return None
    if all(isinstance(getattr(mlp, name, None), nn.Linear) for name in ("gate_proj", "up_proj", "down_proj")):
        if getattr(mlp.config, "hidden_act", "silu") not in ("silu", "swish"):
            return None
        return _Dense([mlp.gate_proj, mlp.up_proj], mlp.down_proj, "swiglu")
    if hasattr(mlp, "c_fc") and hasattr(mlp, "c_proj"):
        kind = type(getattr(mlp, "gelu", None)).__name__
        return _Dense([mlp.c_fc], mlp.c_proj, "quick_gelu" if getattr(mlp, "quick", kind == "QuickGELU") else "gelu")
    if isinstance(mlp, nn.Sequential) and len(mlp) == 3 and isinstance(mlp[1], nn.GELU):
        first, _, second = mlp
        if isinstance(first, nn.Linear) and isinstance(second, nn.Linear):
            return _Dense([first], second, "gelu")
    return None


def upcycled(mlp: nn.Module, experts: int, top_k: int, sample_wise: bool = True) -> MixtureMlp | None:
    """Experts that are copies of a dense network, and a randomly drawn gate; None for a network of unknown type."""
    dense = _taken_apart(mlp)
    if dense is None:
        return None
    first, second = dense.first, dense.second
    weight = second.weight
    found = MixtureMlp(
        first[0].in_features, second.in_features, second.out_features, experts, top_k, dense.activation,
        second.bias is not None, sample_wise,
    ).to(weight.device, weight.dtype)  # fmt: skip
    with torch.no_grad():
        found.first.copy_(torch.cat([one.weight for one in first]).repeat(experts, 1))
        found.second.copy_(weight.repeat(experts, 1))
        if found.first_bias is not None and found.second_bias is not None:
            found.first_bias.copy_(torch.cat([one.bias for one in first]).repeat(experts))
            found.second_bias.copy_(second.bias.repeat(experts))
    for parameter in found.parameters():
        parameter.requires_grad_(weight.requires_grad)
    return found.train(mlp.training)


def expert_layers(model: nn.Module, settings: ExpertSettings) -> int:
    """Replaces the feed-forward networks that `settings.places` names by experts; returns how many.

    Module names give their place: an `mlp` belongs to the place at the start of its path, and a model's `connector` is
    its own place. Raises UserError if a place has none.
    """
    total = 0
    for place in settings.places:
        done = 0
        for parent, name in list(_feed_forwards(model, place)):
            found = upcycled(getattr(parent, name), settings.count, settings.top_k, place not in ("text", "language"))
            if found is not None:
                setattr(parent, name, found)
                done += 1
        if not done:
            raise UserError(
                f"{type(model).__name__} has no feed-forward networks in {place} that experts can replace",
                "choose model.experts.places from vision, connector, text (COSMOS), language (gated LMs)",
                2,
            )
        total += done
    return total


def _feed_forwards(model: nn.Module, place: str) -> Iterator[tuple[nn.Module, str]]:
    """(module, attribute) of each dense network of a place, in order."""
    for name, _ in model.named_children():
        if name == place == "connector":
            yield model, name
    for name, module in model.named_modules():
        if hasattr(module, "mlp") and place_of(name) == place:
            yield module, "mlp"


def mixtures(model: nn.Module) -> list[MixtureMlp]:
    return [module for module in model.modules() if isinstance(module, MixtureMlp)]
