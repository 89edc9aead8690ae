"""One build at a time holds a ROOT: a lease with owner, epoch and heartbeat.

Each holder creates `lease/<epoch>.json` under a name that can be created only once, so of two that try the same epoch
one wins, locally and on object storage. A holder that died on this machine is recognised at once (process id and start
time), one on another machine when its heartbeat is older than TIME_TO_LIVE seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from interlink.errors import UserError
from interlink.storage import Storage

HEARTBEAT = 10.0  # seconds between heartbeats
TIME_TO_LIVE = 60.0  # seconds without a heartbeat after which a holder elsewhere counts as dead
FOLDER = "lease"


@dataclass(frozen=True)
class Holder:
    """Who holds an epoch: where it runs, since when, and when it was last heard of (Unix seconds)."""

    epoch: int
    host: str
    machine: str  # boot id and process namespace: process ids compare only within one
    pid: int
    started: float
    heartbeat: float
    released: bool = False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} (epoch {self.epoch})"

    def alive(self) -> bool:
        if self.released:
            return False
        if self.machine == _machine():
            return _started(self.pid) == self.started
        return time.time() - self.heartbeat < TIME_TO_LIVE


class Lost(UserError):
    """Another build has taken the ROOT over: this one must stop writing."""


class Lease:
    """The right to write below one root; kept alive by a thread until `release`."""

    def __init__(self, storage: Storage, holder: Holder) -> None:
        self.storage = storage
        self.holder = holder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="lease", daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> int:
        return self.holder.epoch

    @staticmethod
    def acquire(storage: Storage) -> Lease:
        """Takes the next epoch; UserError names the owner when a living build holds the root."""
        while True:
            latest = current(storage)
            if latest is not None and latest.alive():
                raise UserError(
                    f"{storage.url} is in use by {latest}",
                    "wait for that build to end, or give this one another --root",
                )
            pid = os.getpid()
            holder = Holder(
                epoch=latest.epoch + 1 if latest else 1,
                host=socket.gethostname(),
                machine=_machine(),
                pid=pid,
                started=_started(pid) or 0.0,
                heartbeat=time.time(),
            )
            if storage.create(_name(holder.epoch), _encode(holder)):
                for name in storage.names(FOLDER):
                    if name < _name(holder.epoch).rsplit("/", 1)[1]:
                        storage.delete(f"{FOLDER}/{name}")
                return Lease(storage, holder)

    def release(self) -> None:
        self._stop.set()
        self._thread.join(timeout=HEARTBEAT)
        # On a full disk the reason why the build stopped matters more; a holder that is gone is recognised anyway.
        with contextlib.suppress(OSError):
            if latest_epoch(self.storage) == self.epoch:
                self.storage.write(_name(self.epoch), _encode(replace(self.holder, released=True)))

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT):
            with contextlib.suppress(OSError):  # a storage that does not answer is asked again at the next beat
                if latest_epoch(self.storage) != self.epoch:
                    return
                self.storage.write(_name(self.epoch), _encode(replace(self.holder, heartbeat=time.time())))


def latest_epoch(storage: Storage) -> int:
    """The highest epoch that anybody took on this root; 0 where none was."""
    names = [name for name in storage.names(FOLDER) if name.endswith(".json")]
    return int(names[-1].removesuffix(".json")) if names else 0


def current(storage: Storage) -> Holder | None:
    """The last holder, alive or not."""
    epoch = latest_epoch(storage)
    return Holder(**json.loads(storage.read(_name(epoch)))) if epoch else None


class Fence:
    """Keeps a worker of an epoch that was taken over from writing. `check` costs a listing every `interval` seconds."""

    def __init__(self, storage: Storage, epoch: int, interval: float = 2.0) -> None:
        self.storage = storage
        self.epoch = epoch
        self.interval = interval
        self._checked = float("-inf")

    def check(self) -> None:
        now = time.monotonic()
        if now - self._checked < self.interval:
            return
        latest = latest_epoch(self.storage)
        if latest != self.epoch:
            raise Lost(f"{self.storage.url} was taken over by another build (epoch {latest})", "this build stops here")
        self._checked = now


def _name(epoch: int) -> str:
    return f"{FOLDER}/{epoch:06d}.json"


def _encode(holder: Holder) -> bytes:
    return json.dumps(asdict(holder), sort_keys=True).encode()


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    space = Path("/proc/self/ns/pid")
    if boot.exists() and space.exists():
        return f"{boot.read_text().strip()}/{space.readlink()}"
    return socket.gethostname()


def _started(pid: int) -> float | None:
    """When that process began (Unix seconds); None where it is gone or a zombie."""
    import psutil

    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return float(process.create_time())
    except psutil.NoSuchProcess:
        return None
