"""Faults of the set-up, which are no item's fault: yt-dlp lacks a helper for a site, so all its items fail alike.

Each host's first fault is logged. After `MOST` in a row without a success the host is paused: its remaining items stay
open, and the build stops with yt-dlp's own words when everything else is done.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

from interlink.errors import StageError

log = logging.getLogger(__name__)
MOST = 20


class SetupFault(StageError):
    """A failure that probably comes from the set-up of yt-dlp on this machine."""


@dataclass
class _Host:
    in_a_row: int = 0
    warned: bool = False


class Faults:
    """Counts the faults of each host; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: dict[str, _Host] = {}
        self.paused: dict[str, str] = {}  # host -> yt-dlp's words

    def succeeded(self, host: str) -> None:
        with self._lock:
            self._hosts.setdefault(host, _Host()).in_a_row = 0

    def failed(self, host: str, error: SetupFault) -> None:
        with self._lock:
            found = self._hosts.setdefault(host, _Host())
            found.in_a_row += 1
            if not found.warned:
                found.warned = True
                log.warning("%s: yt-dlp says: %s", host, error)
            if found.in_a_row >= MOST:
                self.paused.setdefault(host, str(error))
