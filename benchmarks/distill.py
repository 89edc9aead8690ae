"""COSMOS's step and the experts' block against how they are usually written: `python -m benchmarks distill --json`.

Step: forward, losses, backward, optimiser, teacher. Ours: one gather and one product for all 80 pairs of views, texts
read up to their ends where nothing else is looked at, fused AdamW, the teacher in one pass. The other, as published: 80
calls of a symmetric InfoNCE that gathers both sides each time, texts read whole, the teacher parameter by parameter.
Both on the same model and batch, in turn; CPU time. The losses are compared alone too, and in two processes, where the
exchanges are counted.

Block: tokens sorted, one product per expert; against a loop over items and experts, as the published code has it; and
both against the matrix products alone, as many multiplications as one dense network's forward and backward over all
routed rows: what no router can be faster than.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

_PAIRS = 80
_BLOCKS = ((241, 17, 96), (64, 64, 256), (7, 577, 512))  # items, tokens of each, width: 4k tokens


@dataclass(frozen=True)
class Compared:
    """CPU milliseconds, medians of so many turns; ratio: the median of theirs over ours. products_ms: of the matrix
    products that both need, alone; 0 where that is not asked."""

    what: str
    ours_ms: float
    theirs_ms: float
    ratio: float
    turns: int
    products_ms: float = 0.0

    def __str__(self) -> str:
        said = f"{self.what}: {self.ours_ms:.1f} ms against {self.theirs_ms:.1f} ms, {self.ratio:.2f}x"
        if not self.products_ms:
            return said
        ours, theirs = self.ours_ms / self.products_ms, self.theirs_ms / self.products_ms
        return f"{said}; {ours:.2f} and {theirs:.2f} times the products alone, {self.products_ms:.1f} ms"


@dataclass(frozen=True)
class Exchanges:
    """Collectives of one step's losses, forward and back, in two processes."""

    ours: int
    theirs: int


def compare(
    what: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    turns: int,
    products: Callable[[], object] | None = None,
) -> Compared:
    ways = [ours, theirs, *([products] if products else [])]
    times: list[list[float]] = []
    for turn in range(turns + 2):
        taken = []
        for way in ways:
            began = time.process_time()
            way()
            taken.append(time.process_time() - began)
        if turn > 1:
            times.append(taken)
    middles = [1000 * statistics.median(column) for column in zip(*times, strict=True)]
    ratio = statistics.median(taken[1] / taken[0] for taken in times)
    return Compared(what, middles[0], middles[1], ratio, turns, *middles[2:])


def _gathered(rows: Any) -> Any:
    """All processes' rows, with gradients for ours alone: what each InfoNCE of the published code does."""
    import torch
    import torch.distributed as dist

    if not dist.is_initialized():
        return rows
    found = [torch.zeros_like(rows) for _ in range(dist.get_world_size())]
    dist.all_gather(found, rows.contiguous())
    found[dist.get_rank()] = rows
    return torch.cat(found)


def _nce(one: Any, other: Any, scale: Any) -> Any:
    import torch
    from torch.nn import functional as F

    one, other = _gathered(one), _gathered(other)
    logits = scale * one @ other.T
    own = torch.arange(len(one))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def double_loop(views: Any) -> Any:
    """L_clip + L_distill, pair by pair."""
    clip = sum(_nce(views.image[i], views.text[m], views.scale) for i in range(2) for m in range(len(views.text))) / (
        2 * len(views.text)
    )
    distill = 0
    for cross in (views.cross_image, views.cross_text):
        for taught in (views.teacher_image, views.teacher_text):
            pairs = [_nce(feature, target, views.distill_scale) for feature in cross for target in taught]
            distill = distill + sum(pairs) / len(pairs) / 4
    return clip + distill


class _Side:
    """A tiny COSMOS with its optimiser, and how it takes a step."""

    def __init__(self, batch_size: int, naive: bool) -> None:
        import torch

        from cosmos_train import recipe as recipes
        from cosmos_train.families.cosmos.model import build_cosmos
        from cosmos_train.families.cosmos.momentum import Teacher
        from cosmos_train.models.pretrained import PlannedVocabulary
        from cosmos_train.stream.views.batch import ViewBatch

        torch.manual_seed(0)
        self.recipe, self.naive = recipes.load("tiny_cosmos"), naive
        self.model = build_cosmos(self.recipe, PlannedVocabulary(1024, begin=1, end=2))
        settings = self.recipe.optimiser
        parameters = list(self.model.student.parameters())
        self.optimiser = torch.optim.AdamW(parameters, lr=settings.lr, fused=None if naive else True)
        self.teacher = Teacher(self.model, self.recipe.objective.teacher, 1000)
        texts = _texts(batch_size)
        self.batch = ViewBatch(
            images=torch.randint(0, 256, (2, batch_size, 3, 64, 64), dtype=torch.uint8),
            crops=torch.randint(0, 256, (6, batch_size, 3, 32, 32), dtype=torch.uint8),
            texts=texts,
            keys=tuple(map(str, range(batch_size))),
        )

    def step(self) -> float:
        loss = self.loss(self.views())
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        if self.naive:
            self._follow()
        else:
            self.teacher.after_step(0)
        return float(loss.detach())

    def loss(self, views: Any) -> Any:
        from cosmos_train.families.cosmos.distill import cosmos_losses

        return double_loop(views) if self.naive else sum(cosmos_losses(views))

    def views(self) -> Any:
        """All texts read whole, as published, or only as far as their ends."""
        from cosmos_train.families.cosmos import objective as objective

        if self.naive:
            read_short = objective._pooled
            objective._pooled = _read_whole
            try:
                return objective.compute(self.model, self.batch, self.recipe.objective)[0]
            finally:
                objective._pooled = read_short
        return objective.compute(self.model, self.batch, self.recipe.objective)[0]

    def _follow(self) -> None:
        import torch

        with torch.no_grad():
            for taught, learned in zip(self.model.teacher.parameters(), self.model.student.parameters(), strict=True):
                taught.mul_(0.99).add_(0.01 * learned.detach())


def _texts(rows: int) -> Any:
    """(8, rows, 32): two captions of one to three sentences of 6 to 10 tokens, six of one sentence, as tiny_cosmos has
    them on the sample world."""
    import torch

    draw = torch.Generator().manual_seed(0)
    texts = torch.zeros(8, rows, 32, dtype=torch.long)
    for view in range(8):
        for row in range(rows):
            sentences = int(torch.randint(1, 4, (), generator=draw)) if view < 2 else 1
            length = min(30, sentences * int(torch.randint(6, 11, (), generator=draw)))
            texts[view, row, : length + 1] = torch.randint(3, 1024, (length + 1,), generator=draw)
            texts[view, row, length + 1] = 2
    return texts


def _read_whole(tower: Any, texts: Any) -> Any:
    return tower.texts(texts.flatten(0, 1)).pooled.unflatten(0, (len(texts), -1))


def steps(batch_size: int, turns: int) -> list[Compared]:
    ours, theirs = (_Side(batch_size, naive) for naive in (False, True))
    first = ours.step(), theirs.step()
    assert abs(first[0] - first[1]) < 1e-4 * first[1], first
    return [
        compare(f"COSMOS step, {batch_size} samples, one process", ours.step, theirs.step, turns),
        losses(batch_size, 512, turns),
    ]


def losses(batch_size: int, width: int, turns: int) -> Compared:
    """Forward and backward of the losses alone, on drawn features."""
    from cosmos_train.families.cosmos.distill import cosmos_losses

    views = _views(batch_size, width)
    return compare(
        f"its losses alone, {batch_size} samples of {width} numbers",
        lambda: sum(cosmos_losses(views)).backward(),  # type: ignore[union-attr]
        lambda: double_loop(views).backward(),
        turns,
    )


def _views(rows: int, width: int) -> Any:
    import torch
    from torch.nn import functional as F

    from cosmos_train.families.cosmos.distill import Views

    torch.manual_seed(int(os.environ.get("RANK", "0")))
    parts = [F.normalize(torch.randn(8, rows, width), dim=-1).requires_grad_() for _ in range(4)]
    taught = [F.normalize(torch.randn(2, rows, width), dim=-1) for _ in range(2)]
    scales = [torch.tensor([14.0], requires_grad=True) for _ in range(2)]
    return Views(*parts, *taught, *scales)


def blocks(turns: int) -> list[Compared]:
    import torch

    from cosmos_train.models.moe import MixtureMlp

    found = []
    for items, tokens, width in _BLOCKS:
        torch.manual_seed(0)
        block = MixtureMlp(width, 4 * width, width, 4, 2, "gelu", True)
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter, std=0.02)
        block.eval()
        x = torch.randn(items, tokens, width, requires_grad=True)
        assert torch.allclose(block(x), _by_item(block, x), atol=1e-4)
        what = f"block of 4 experts, top 2: {items} items of {tokens} tokens, width {width}"
        ours, theirs = _trained(block, x), _trained(_looped(block), x)
        found.append(compare(what, ours, theirs, turns, _products(block, items * tokens)))
    return found


def _products(block: Any, tokens: int) -> Callable[[], object]:
    """The six products of a dense network's forward and backward over `top_k` rows for each token, into memory that is
    there: no routing, no activation, no biases."""
    import torch

    rows, width, inner = tokens * block.top_k, block.gate.in_features, block.second.shape[1]
    first, second = torch.randn(inner, width), torch.randn(width, inner)
    outer, hidden = torch.randn(rows, width), torch.randn(rows, inner)
    of_outer, of_hidden = torch.empty_like(outer), torch.empty_like(hidden)
    of_first, of_second = torch.empty_like(first), torch.empty_like(second)

    def run() -> None:
        torch.mm(outer, first.T, out=of_hidden)
        torch.mm(hidden, second.T, out=of_outer)
        torch.mm(outer, second, out=of_hidden)
        torch.mm(outer.T, hidden, out=of_second)
        torch.mm(hidden, first, out=of_outer)
        torch.mm(hidden.T, outer, out=of_first)

    return run


def _trained(way: Callable[[Any], Any], x: Any) -> Callable[[], object]:
    return lambda: way(x).square().sum().backward()


def _looped(block: Any) -> Callable[[Any], Any]:
    return lambda x: _by_item(block, x)


def _by_item(block: Any, x: Any) -> Any:
    """A loop over items and experts, each on the tokens that chose it."""
    import torch
    from torch.nn import functional as F

    count = block.experts
    first, second = block.first.unflatten(0, (count, -1)), block.second.unflatten(0, (count, -1))
    biases = block.first_bias.unflatten(0, (count, -1)), block.second_bias.unflatten(0, (count, -1))
    weights, chosen = block.gate(x).float().softmax(-1).topk(block.top_k, -1)
    weights = weights / weights.sum(-1, keepdim=True)
    rows = []
    for item, weight, choice in zip(x, weights, chosen, strict=True):
        result = torch.zeros(len(item), second.shape[1])
        for expert in range(count):
            token, nth = torch.where(choice == expert)
            inner = F.gelu(F.linear(item[token], first[expert], biases[0][expert]))
            out = F.linear(inner, second[expert], biases[1][expert])
            result = result.index_add(0, token, out * weight[token, nth, None])
        rows.append(result)
    return torch.stack(rows)


def two_processes(batch_size: int, turns: int) -> tuple[Compared, Exchanges]:
    """The losses alone, shared by two processes on this machine: CPU time of one of them, and exchanges."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "benchmarks", "distill", "--rank-of", str(batch_size), "--turns", str(turns)]
    ranks = [
        subprocess.Popen(command, env=os.environ | meeting | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=600)[0] for rank in ranks]
    found = json.loads(said[0].splitlines()[-1])
    return Compared(**found["time"]), Exchanges(**found["exchanges"])


def _as_rank(batch_size: int, turns: int) -> None:
    import torch
    import torch.distributed as dist
    from torch.distributed.tensor.debug import CommDebugMode

    from cosmos_train.families.cosmos.distill import cosmos_losses

    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    views = _views(batch_size // 2, 512)

    def ours() -> None:
        sum(cosmos_losses(views)).backward()  # type: ignore[union-attr]

    def theirs() -> None:
        double_loop(views).backward()

    counts = []
    for way in (ours, theirs):
        with CommDebugMode() as counted:
            way()
        counts.append(counted.get_total_counts())
    time_ = compare(f"its losses alone, {batch_size} samples in two processes", ours, theirs, turns)
    if dist.get_rank() == 0:
        print(json.dumps({"time": asdict(time_), "exchanges": asdict(Exchanges(*counts))}))
    dist.destroy_process_group()


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks distill", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--batch-size", type=int, default=32, help="samples of a COSMOS step")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--rank-of", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.rank_of:
        _as_rank(options.rank_of, options.turns)
        return
    import torch

    torch.set_num_threads(1)
    found = steps(options.batch_size, options.turns)
    together, exchanges = two_processes(256, options.turns)
    found += [losses(256, 512, options.turns), together, *blocks(options.turns)]
    if options.json:
        print(json.dumps({"compared": [asdict(one) for one in found], "exchanges": asdict(exchanges)}, indent=1))
        return
    for one in found:
        print(one)
    print(f"exchanges of a step's losses in two processes: {exchanges.ours} against {exchanges.theirs}")


if __name__ == "__main__":
    main(sys.argv[1:])
