"""One build at a time holds a root."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import psutil
import pytest

from disk import Disk, Fault
from interlink.errors import UserError
from interlink.runtime import lease as leases
from interlink.runtime.lease import TIME_TO_LIVE, Fence, Holder, Lease, Lost, current, latest_epoch
from interlink.storage import Storage


def hold(storage: Storage, epoch: int = 1, **fields: object) -> Holder:
    """Puts a lease on a root that this very process holds, but for these fields."""
    mine = Holder(
        epoch, socket.gethostname(), leases._machine(), os.getpid(), psutil.Process().create_time(), time.time()
    )
    holder = replace(mine, **fields)  # type: ignore[arg-type]
    assert storage.create(f"lease/{epoch:06d}.json", json.dumps(asdict(holder)).encode())
    return holder


def eventually(check: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not check() and time.monotonic() < deadline:
        time.sleep(0.005)
    return check()


def test_a_root_in_use_names_its_owner(tmp_path: Path) -> None:
    lease = Lease.acquire(Storage(str(tmp_path)))
    with pytest.raises(UserError, match=rf"in use by process {os.getpid()} on .*epoch 1"):
        Lease.acquire(Storage(str(tmp_path)))
    lease.release()


def test_after_release_the_next_epoch_begins(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    Lease.acquire(storage).release()
    lease = Lease.acquire(storage)
    assert lease.epoch == 2
    lease.release()


@pytest.mark.processes
def test_a_holder_killed_on_this_machine_is_replaced_at_once(tmp_path: Path) -> None:
    code = (
        "import os, sys; from interlink.runtime.lease import Lease; from interlink.storage import Storage;"
        "Lease.acquire(Storage(sys.argv[1])); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    storage = Storage(str(tmp_path))
    holder = current(storage)
    assert holder is not None and not holder.released
    lease = Lease.acquire(storage)
    assert lease.epoch == 2
    lease.release()


def test_a_holder_elsewhere_is_believed_while_its_heart_beats(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    lease = Lease.acquire(storage)
    lease.release()
    elsewhere = replace(lease.holder, epoch=2, host="other", machine="other", heartbeat=time.time())
    storage.create("lease/000002.json", json.dumps(asdict(elsewhere)).encode())
    with pytest.raises(UserError, match="on other"):
        Lease.acquire(storage)
    storage.write("lease/000002.json", json.dumps(asdict(replace(elsewhere, heartbeat=0.0))).encode())
    taken = Lease.acquire(storage)
    assert latest_epoch(storage) == 3
    taken.release()


def test_a_holder_says_who_it_is_and_since_when(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    before = time.time()
    lease = Lease.acquire(storage)
    holder = current(storage)
    lease.release()
    assert holder is not None
    assert (holder.epoch, holder.host, holder.pid) == (1, socket.gethostname(), os.getpid())
    assert holder.started == psutil.Process().create_time()
    assert before <= holder.heartbeat <= time.time()
    assert not holder.released
    assert str(holder) == f"process {os.getpid()} on {socket.gethostname()} (epoch 1)"
    after = current(storage)
    assert after == replace(holder, released=True)
    assert not after.alive()


def test_a_root_that_nobody_held_has_epoch_0(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    assert latest_epoch(storage) == 0
    assert current(storage) is None
    storage.write("lease/999999.txt", b"not a lease")
    assert latest_epoch(storage) == 0


def test_a_process_is_known_by_its_number_and_its_start(tmp_path: Path) -> None:
    """A number that was given to another process since locks no root for good; heartbeats do not count here."""
    storage = Storage(str(tmp_path))
    hold(storage, 1, heartbeat=0.0)
    with pytest.raises(UserError, match=f"in use by process {os.getpid()}"):
        Lease.acquire(storage)
    storage.delete("lease/000001.json")
    hold(storage, 1, started=psutil.Process().create_time() - 100, heartbeat=time.time())
    lease = Lease.acquire(storage)
    assert lease.epoch == 2
    lease.release()


def test_process_numbers_of_another_machine_or_container_say_nothing(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    hold(storage, 1, machine="other", pid=10**9)
    with pytest.raises(UserError, match="in use by process 1000000000"):
        Lease.acquire(storage)
    boot, _, space = leases._machine().partition("/")
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert space == os.readlink("/proc/self/ns/pid")  # noqa: PTH115


def test_where_there_is_no_proc_the_host_is_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: "boot_id" not in str(path))
    assert leases._machine() == socket.gethostname()
    monkeypatch.setattr(Path, "exists", lambda path: "ns" not in path.parts)
    assert leases._machine() == socket.gethostname()


@pytest.mark.processes
def test_a_zombie_and_a_process_that_is_gone_hold_nothing() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    try:
        assert eventually(lambda: psutil.Process(child).status() == psutil.STATUS_ZOMBIE)
        assert leases._started(child) is None
    finally:
        os.waitpid(child, 0)
    assert leases._started(child) is None


def test_another_hosts_root_is_taken_over_after_a_minute_without_a_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, now = Storage(str(tmp_path)), time.time()
    assert TIME_TO_LIVE == 60.0
    hold(storage, 1, machine="other", heartbeat=now)
    monkeypatch.setattr(time, "time", lambda: now + 59.9)
    with pytest.raises(UserError, match="in use"):
        Lease.acquire(storage)
    monkeypatch.setattr(time, "time", lambda: now + 60.0)
    lease = Lease.acquire(storage)
    assert lease.epoch == 2
    assert storage.names("lease") == ["000002.json"]  # those of the past are let go
    lease.release()


def test_of_two_that_try_the_same_epoch_one_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage(str(tmp_path))
    create = Storage.create

    def overtaken(self: Storage, path: str, data: bytes) -> bool:
        monkeypatch.setattr(Storage, "create", create)
        hold(storage, 1)
        return create(self, path, data)

    monkeypatch.setattr(Storage, "create", overtaken)
    with pytest.raises(UserError, match="epoch 1"):
        Lease.acquire(storage)


def test_the_heart_beats_while_the_lease_is_held_and_no_longer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert leases.HEARTBEAT * 3 < TIME_TO_LIVE  # one that comes late, or is lost, does no harm
    monkeypatch.setattr(leases, "HEARTBEAT", 0.01)
    storage = Storage(str(tmp_path))
    lease = Lease.acquire(storage)
    first = lease.holder.heartbeat
    assert eventually(lambda: (current(storage) or lease.holder).heartbeat > first)
    assert (current(storage) or lease.holder).epoch == 1
    lease.release()
    assert not lease._thread.is_alive() and lease._thread.daemon
    assert "lease" not in {thread.name for thread in threading.enumerate()}
    after = current(storage)
    time.sleep(0.05)
    assert current(storage) == after
    assert after is not None and after.released


def test_a_heart_that_could_not_beat_once_beats_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT", 0.01)
    storage = Storage(str(tmp_path))
    lease = Lease.acquire(storage)
    with Disk(tmp_path, Fault(0, "EIO")) as disk:
        assert eventually(lambda: len(disk.operations) > 6)
    lease.release()


def test_the_heart_of_a_holder_that_was_taken_over_stops(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "HEARTBEAT", 0.01)
    storage = Storage(str(tmp_path))
    lease = Lease.acquire(storage)
    taken = hold(storage, 2)
    assert eventually(lambda: not lease._thread.is_alive())
    assert current(storage) == taken


def test_a_holder_that_was_taken_over_releases_nothing(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    lease = Lease.acquire(storage)
    taken = hold(storage, 2)
    storage.delete("lease/000001.json")
    lease.release()
    assert storage.names("lease") == ["000002.json"]
    assert current(storage) == taken


def test_a_release_waits_for_the_heartbeat_under_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which would otherwise write that the lease is held, after the release."""
    storage, begun, go_on = Storage(str(tmp_path)), threading.Event(), threading.Event()
    find = leases.latest_epoch

    def slow(storage: Storage) -> int:
        if threading.current_thread().name == "lease":
            begun.set()
            go_on.wait(10)
        return find(storage)

    monkeypatch.setattr(leases, "latest_epoch", slow)
    monkeypatch.setattr(leases, "HEARTBEAT", 0.01)
    lease = Lease.acquire(storage)
    assert begun.wait(10)
    monkeypatch.setattr(leases, "HEARTBEAT", 10.0)
    threading.Timer(0.1, go_on.set).start()
    lease.release()
    lease._thread.join()
    holder = current(storage)
    assert holder is not None and holder.released


def test_the_bytes_of_a_lease_are_fixed(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    Lease.acquire(storage).release()
    data = storage.read("lease/000001.json")
    assert data == json.dumps(json.loads(data), sort_keys=True).encode()


def test_a_release_that_cannot_be_written_is_no_second_error(tmp_path: Path) -> None:
    lease = Lease.acquire(Storage(str(tmp_path)))
    with Disk(tmp_path, Fault(0, "ENOSPC")):
        lease.release()
    assert lease._stop.is_set()


def test_a_fence_stops_what_lost_the_root_and_looks_every_few_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(str(tmp_path))
    hold(storage, 1)
    fence, now = Fence(storage, 1), 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    fence.check()
    hold(storage, 2)
    now += 1.9
    fence.check()  # the listing costs, so it is not made each time
    now += 0.1
    for _ in range(2):
        with pytest.raises(Lost, match=r"taken over by another build \(epoch 2\)") as caught:
            fence.check()
    assert caught.value.do
