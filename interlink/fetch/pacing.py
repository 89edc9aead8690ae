"""Rate limits per host: a token bucket that slows down after refusals and pauses while the host asks clients to wait.

Each refusal (403, 429, 503, a bot check) halves the rate, down to 1/32; each success adds 1/16 of the full rate. One
pacer serves one process; the download stage runs one worker, so this is the rate of the build.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from interlink.errors import StageError

_SLOWEST = 1 / 32
_RECOVERY = 1 / 16
_LONGEST_REST = 24 * 3600.0  # seconds; a longer Retry-After is ignored


@dataclass
class _Host:
    rate: float  # current requests per second
    tokens: float
    refilled: float  # on the clock
    silent_until: float = 0.0


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

    def wait(self, name: str, sleep: Callable[[float], None]) -> None:
        """Waits until a request to the host is allowed. sleep: called with seconds; may raise to give up."""
        while seconds := self.take(name):
            sleep(seconds)

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
