"""One build at a time holds a root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from interlink.errors import UserError
from interlink.runtime.lease import Lease, current, latest_epoch
from interlink.storage import Storage


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
