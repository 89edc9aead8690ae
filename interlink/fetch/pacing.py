"""Rate limits per host: a token bucket that slows down after refusals and pauses while the host asks clients to wait.

Each refusal (403, 429, 503, a bot check) halves the rate, down to 1/32; each success adds 1/16 of the full rate. One
pacer serves the whole build: the download stage runs one worker, and its child processes ask for their turns.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from interlink.errors import StageError
from interlink.fetch.transfers import Transfer

_SLOWEST = 1 / 32
_RECOVERY = 1 / 16
MARGIN = 0.95  # share of the rate that is granted: a request is sent a moment after its turn, so turns may bunch up
_LONGEST_REST = 24 * 3600.0  # seconds; a longer Retry-After is ignored


@dataclass
class _Host:
    rate: float  # current requests per second
    tokens: float
    refilled: float  # on the clock
    silent_until: float = 0.0


class Pace(Protocol):
    """What a transfer needs of a pacer, in this process or another."""

    def wait(self, name: str, transfer: Transfer) -> None:
        """Waits until a request to the host is allowed. Raises StageError where that takes too long."""

    def answered(self, name: str) -> None:
        """Records a successful request."""

    def refused(self, name: str, retry_after: float | None = None) -> None:
        """Records a refusal. No request is sent to the host for `retry_after` seconds, if given."""


class Pacer:
    """Shared by all transfers of a process; thread-safe.

    requests_per_second, burst: of each host. patience: most seconds that a request waits for a host that asked
    clients to wait; beyond it the item fails as `throttled`, with the remaining seconds. clock: seconds, monotonic.
    """

    def __init__(
        self, requests_per_second: float, burst: int, patience: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = requests_per_second
        self._burst = float(burst)
        self._patience = patience
        self._clock = clock
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}

    def _host(self, name: str) -> _Host:
        now = self._clock()
        host = self._hosts.setdefault(name, _Host(self._rate, self._burst, now))
        host.tokens = min(self._burst, host.tokens + (now - host.refilled) * host.rate)
        host.refilled = now
        return host

    def take(self, name: str) -> float:
        """Takes a token and returns 0, or returns the seconds to wait before asking again.

        Raises StageError beyond `patience`.
        """
        with self._lock:
            host = self._host(name)
            silence = host.silent_until - self._clock()
            if silence > self._patience:
                raise StageError("throttled", f"{name} asks clients to wait {silence:.0f} s", retry_after=silence)
            if silence > 0:
                return silence
            if host.tokens >= 1:
                host.tokens -= 1
                return 0.0
            return (1 - host.tokens) / host.rate

    def wait(self, name: str, transfer: Transfer) -> None:
        """Waits until a request to the host is allowed."""
        while seconds := self.take(name):
            transfer.sleep(seconds)

    def answered(self, name: str) -> None:
        """Records a successful request."""
        with self._lock:
            host = self._host(name)
            host.rate = min(self._rate, host.rate + self._rate * _RECOVERY)

    def refused(self, name: str, retry_after: float | None = None) -> None:
        """Records a refusal. No request is sent to the host for `retry_after` seconds, if given."""
        with self._lock:
            host = self._host(name)
            host.rate = max(self._rate * _SLOWEST, host.rate / 2)
            if retry_after is not None and 0 < retry_after <= _LONGEST_REST:
                host.silent_until = max(host.silent_until, self._clock() + retry_after)


@dataclass(frozen=True)
class Request:
    """A request that waits for its turn.

    owner: the process that sends it. grant: called once, perhaps with a refusal.
    """

    owner: object
    grant: Callable[[StageError | None], None]


class Turns:
    """Requests of several processes to one pacer: each host's are granted in the order they came. Not thread-safe."""

    def __init__(self, pacer: Pacer) -> None:
        self.pacer = pacer
        self._waiting: dict[str, deque[Request]] = {}

    def ask(self, host: str, request: Request) -> None:
        self._waiting.setdefault(host, deque()).append(request)

    def forget(self, owner: object) -> None:
        """Drops what a dead process asked for. Turns that it was given are not given again."""
        for host, requests in self._waiting.items():
            self._waiting[host] = deque(one for one in requests if one.owner is not owner)

    def give(self) -> float:
        """Grants what may be sent now; returns the seconds until the next turn, infinite if nothing waits."""
        pause = float("inf")
        for host in list(self._waiting):
            requests = self._waiting[host]
            while requests:
                refusal = None
                try:
                    if seconds := self.pacer.take(host):
                        pause = min(pause, seconds)
                        break
                except StageError as error:
                    refusal = error
                requests.popleft().grant(refusal)
            if not requests:
                del self._waiting[host]
        return pause
