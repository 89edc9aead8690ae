"""A small build with every stage, two partitions and several parts each, that can be hit at any of its operations."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pyarrow.parquet as pq

from builds import make
from disk import Disk, Fault, Operation, in_child
from interlink.errors import UserError
from interlink.shards import tar

SETS = (
    "stages=[download, transcribe=direct_transcribe, keyframes=direct_keyframes, caption, interleave, shard]",
    "keyframes.frames_per_clip=1",
    "keyframes.short_side=32",
    "executor.flush_seconds=1e-9",  # each row is a part
)
REFUSED = 2  # exit code of a build that ends with a UserError


def build(root: Path, clips: Path, fault: Fault | None = None) -> list[Operation]:
    """Builds with this fault; what was done to the disk until the end or the fault."""
    root.mkdir(exist_ok=True)
    with Disk(root, fault) as disk:
        try:
            make(root, clips, *SETS).run()
        except UserError as error:
            assert fault is not None and error.what and error.do
            os._exit(REFUSED)
    return disk.operations


def files(root: Path) -> dict[str, str]:
    """What must be equal after equal builds: sha256 of all files by path; of the ledgers and the lease only the names.

    Names of epochs are left out: they count the builds.
    """
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_file() and not (path.parent.name == "lease" and path.suffix == ".json"):
            found[name] = "" if path.name == "ledger.json" else hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def torn(root: Path) -> list[str]:
    """Files under a final name that are not whole, and parts whose blobs are not there."""
    found = []
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        if path.name.startswith(".tmp-") or path.parent.name == ".scratch":
            continue
        try:
            if path.suffix == ".json":
                json.loads(path.read_bytes())
            elif path.suffix == ".tar":
                with path.open("rb") as file:
                    assert list(tar.members(file))
                assert path.read_bytes().endswith(tar.END)
            elif path.suffix == ".parquet":
                _check_blobs(path.parent, pq.read_table(path).to_pylist())
        except Exception as error:
            found.append(f"{path.relative_to(root)}: {type(error).__name__}: {error}")
    return found


def _check_blobs(folder: Path, value: object) -> None:
    if isinstance(value, dict):
        if value.keys() == {"blob", "offset", "size", "sha256"} and value["blob"] is not None:
            data = (folder / value["blob"]).read_bytes()[value["offset"] :][: value["size"]]
            assert hashlib.sha256(data).hexdigest() == value["sha256"], value["blob"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            _check_blobs(folder, inner)


def hit(root: Path, clips: Path, fault: Fault, whole: dict[str, str]) -> list[str]:
    """Builds in `root` with a fault, and then without; what is not as it should be, of which `whole` is the end."""
    wrong = []
    code = in_child(lambda: build(root, clips, fault))
    if code not in ((-9,) if fault.how in ("kill", *POWER_CUTS) else (0, REFUSED)):
        wrong.append(f"the build with the fault ended with {code}")
    wrong += [one for one in torn(root) if not (fault.how == POWER_CUTS[0] and "/claim-" in one)]  # no durable file
    if (code := in_child(lambda: build(root, clips))) != 0:
        wrong.append(f"the build after it ended with {code}")
    left = files(root) if code == 0 else whole
    wrong += [f"{name} is not what it is without the fault" for name in whole if left.get(name) != whole[name]]
    wrong += [f"{name} is left over" for name in left.keys() - whole.keys()]
    shutil.rmtree(root)
    return [f"{fault.how} at {fault.at}: {one}" for one in wrong]


POWER_CUTS = ("power cut: data lost", "power cut: names lost")
