"""kts: our kernel temporal segmentation against the same formulas in plain Python loops, in one run.

The loops are those of the published implementations: a table of scatters, then for every number of change points, every
end and every beginning one comparison: O(m T^2) steps. Both must give the same change points and costs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from interlink.segment.kts import Floats, divide, kernel_of


def plain(kernel: Floats, most: int, vmax: float) -> tuple[list[int], list[float]]:
    """Change points and costs by the paper's dynamic programme, one element at a time."""
    count = len(kernel)
    diagonal = np.concatenate([[0.0], np.cumsum(np.diag(kernel))])
    sums = np.zeros((count + 1, count + 1))
    sums[1:, 1:] = np.cumsum(np.cumsum(kernel, 0), 1)
    scatter = np.zeros((count, count))
    for i in range(count):
        for j in range(i, count):
            inside = sums[j + 1, j + 1] + sums[i, i] - sums[j + 1, i] - sums[i, j + 1]
            scatter[i, j] = diagonal[j + 1] - diagonal[i] - inside / (j - i + 1)
    least = np.full((most + 1, count + 1), np.inf)
    chosen = np.zeros((most + 1, count + 1), np.int64)
    least[0, 1:] = scatter[0]
    for points in range(1, most + 1):
        for end in range(points + 1, count + 1):
            for begin in range(points, end):
                cost = scatter[begin, end - 1] + least[points - 1, begin]
                if cost < least[points, end]:
                    least[points, end] = cost
                    chosen[points, end] = begin
    costs = [least[0, count] / count]
    for points in range(1, most + 1):
        penalty = vmax * points / (2 * count) * (np.log(count / points) + 1)
        costs.append(least[points, count] / count + penalty)
    best = int(np.argmin(costs))
    found, end = [], count
    for points in range(best, 0, -1):
        end = int(chosen[points, end])
        found.append(end)
    return found[::-1], costs


def features(count: int, size: int = 128, seed: int = 0) -> Floats:
    """Scenes of 5 to 30 samples with similar features."""
    draw = np.random.default_rng(seed)
    common = draw.normal(size=size)
    rows: list[Floats] = []
    while len(rows) < count:
        scene = common + 0.5 * draw.normal(size=size)
        rows += [scene + 0.2 * draw.normal(size=size) for _ in range(int(draw.integers(5, 31)))]
    return np.stack(rows[:count])


def measure(count: int, alpha: int, repeats: int) -> dict[str, Any]:
    """Processor seconds of both for `count` samples; of ours the median of `repeats` runs."""
    kernel = kernel_of(features(count))
    most, vmax = count // alpha - 1, 0.3
    ours = sorted(_seconds(lambda: divide(kernel, most, vmax)) for _ in range(repeats))[repeats // 2]
    found = divide(kernel, most, vmax)
    answer: list[Any] = []
    loops = _seconds(lambda: answer.extend(plain(kernel, most, vmax)))
    if answer[0] != list(found.points) or not np.allclose(answer[1], found.costs, rtol=0, atol=1e-12):
        raise SystemExit("the two do not agree")
    return {
        "samples": count,
        "most change points": most,
        "change points": len(found.points),
        "ours, seconds": round(ours, 4),
        "plain loops, seconds": round(loops, 3),
        "ratio": round(loops / ours, 1),
    }


def _seconds(work: Callable[[], Any]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks kts", description=__doc__)
    parser.add_argument("--samples", type=int, nargs="+", default=[300, 1000])
    parser.add_argument("--alpha", type=int, default=10, help="samples per segment on average, at least")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    results = [measure(count, options.alpha, options.repeats) for count in options.samples]
    if options.json:
        print(json.dumps(results, indent=1))
        return
    for result in results:
        print("  ".join(f"{name} {value}" for name, value in result.items()))


if __name__ == "__main__":
    main()
