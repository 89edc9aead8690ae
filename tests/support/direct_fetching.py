"""Stands in for the pool of child processes where a test asks what a transfer comes to, not where it runs."""

from __future__ import annotations

from pathlib import Path

from interlink.fetch import ytdlp
from interlink.fetch.child import Spec, plain
from interlink.fetch.pacing import Pacer
from interlink.fetch.transfers import Abandoned, Transfer
from interlink.fetch.ytdlp import Fetched


class DirectPool:
    """Does in this process what a child does; without the guard, which cannot be taken away again."""

    def __init__(self, spec: Spec, pacer: Pacer, most: int) -> None:
        self._wishes, self._pacer = spec.wishes, pacer

    def fetch(self, url: str, folder: Path, transfer: Transfer) -> Fetched:
        try:
            return ytdlp.fetch(url, folder, self._wishes, transfer, self._pacer)
        except Abandoned:
            raise
        except Exception as error:
            raise plain(error, url) from error

    def close(self) -> None: ...
