"""What is left to do, as partitions and runs of partitions, and how many workers a stage gets. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from interlink.runtime.plan import StagePlan
from interlink.shards.names import run_of
from interlink.stage import Resources


@dataclass(frozen=True)
class Work:
    """partitions: (name, ids let in) with anything left; runs: whole runs with anything left.

    everything: all partitions of the build, for stages that concern it whole.
    """

    partitions: tuple[tuple[str, int], ...]
    runs: tuple[tuple[tuple[str, int], ...], ...]
    everything: tuple[tuple[str, int], ...] = ()

    def groups(self, plan: StagePlan) -> Sequence[Sequence[tuple[str, int]]]:
        """What a worker of this stage is given at once."""
        if plan.scope == "build":
            return [self.everything] if self.partitions else []
        if plan.scope == "run":
            return self.runs
        groups: list[list[tuple[str, int]]] = []
        for partition in self.partitions:
            if groups and sum(count for _, count in groups[-1]) < plan.together:
                groups[-1].append(partition)
            else:
                groups.append([partition])
        return groups


def runs_of(partitions: Sequence[tuple[str, int]]) -> list[tuple[tuple[str, int], ...]]:
    """Partitions, which are in order, gathered into their runs."""
    return [tuple(group) for _, group in groupby(partitions, key=lambda partition: run_of(partition[0]))]


@dataclass(frozen=True)
class Share:
    """CPUs and GPUs that one worker reserves, and how many workers there may be."""

    cpus: float
    gpus: float
    most: int


def shares(wanted: Mapping[str, Resources], cpus: float, gpus: float, partitions: int) -> dict[str, Share]:
    """Scales what stages want so that all of them run at once: chained pools that cannot all start never finish.

    Each stage may have as many workers as it has CPUs to itself; reservations shrink until every stage's workers fit
    together. They are bookkeeping: a stage that waits uses none of its share.
    """
    most = {}
    for name, want in wanted.items():
        fits = int(gpus // want.gpus) if want.gpus else int(cpus // want.cpus) if want.cpus else int(cpus)
        most[name] = max(1, min(want.workers or fits, fits, partitions))
    total = sum(most[name] * want.cpus for name, want in wanted.items())
    scale = min(1.0, cpus / total) if total else 1.0
    found = {}
    for name, want in wanted.items():
        # Rounded down to Ray's resolution, so that the sum cannot exceed what there is.
        found[name] = Share(max(0.001, int(want.cpus * scale * 1000) / 1000), want.gpus, most[name])
    return found
