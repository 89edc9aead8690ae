"""What a worker knows of a stage before it runs, and what it reports: plain data that pickles small."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from interlink.errors import FAILURES
from interlink.runtime.isolate import StageSpec
from interlink.stage import Resources


@dataclass(frozen=True)
class Retry:
    """How often and how patiently a row of a retrying class is tried again within a build (seconds)."""

    max_attempts: int = 3
    base: float = 1.0
    longest: float = 30.0

    def is_final(self, row: Mapping[str, Any], attempts: int) -> bool:
        if row["status"] != "failed":
            return True
        return not FAILURES[row["error_class"]].retries or attempts >= self.max_attempts

    def delay(self, attempts: int, asked: float | None) -> float:
        """Seconds to wait before the next attempt: exponential with jitter, at least what the other side asked for."""
        backoff = self.base * 2.0 ** (attempts - 1) * random.uniform(0.5, 1.5)
        return min(self.longest, max(backoff, asked or 0.0))


@dataclass(frozen=True)
class StagePlan:
    """All that a worker must know to run one stage anywhere. Pickles small."""

    name: str
    spec: StageSpec
    fingerprint: str
    needs: Mapping[str, str]  # table -> fingerprint
    schema: pa.Schema
    epoch: int
    isolated: bool
    scope: str
    claims: bool  # whether attempts are written down before they begin
    resources: Resources
    retry: Retry = Retry()
    memory_mb: int = 4096
    flush_seconds: float = 5.0
    schemas: Mapping[str, pa.Schema] = field(default_factory=dict)  # of tables in `needs` that are not ours
    together: int = 1  # items that the stage wants to have at once, from several partitions if need be
    excluded: frozenset[str] = frozenset()  # ids that it is not given if it has no row of them yet


@dataclass(frozen=True)
class Event:
    """One thing that happened, for progress.

    kind `expect`: so many ids (`count`) may reach the stage. `open`: of `admitted` expected ones `count` did,
    and `done` are final already. `row`: one more is final. `note`: a line for people, in `text`; of no stage.
    """

    stage: str
    kind: str
    count: int = 1
    done: int = 0
    status: str = ""
    error_class: str = ""
    admitted: int = 0
    text: str = ""


Report = Callable[[Event], None]


def given_together(inputs: Mapping[str, Mapping[str, Any]]) -> str:
    """A digest of the inputs of all partitions that a stage is given at once: one changed input recomputes all of them.

    Without it a build that ended between two of their commits would leave rows of two makings side by side.
    """
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]
