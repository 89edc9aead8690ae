"""What surrounds the work of a build: the manifest is committed last, by the build that holds the root."""

from __future__ import annotations

from pathlib import Path

import pytest

from builds import make
from interlink.runtime.lease import Lease, Lost, latest_epoch
from interlink.runtime.planning import commit_shards


def test_a_build_that_lost_the_root_writes_no_manifest(sample_clips: Path, tmp_path: Path) -> None:
    build = make(
        tmp_path / "root", sample_clips, "stages=[download, transcribe, keyframes, caption, interleave, shard]"
    )
    build.run(limit=1)
    space = build.workspace
    lock = space.lock()
    assert lock is not None
    path = tmp_path / "root" / lock.shards / "MANIFEST.json"
    epoch = latest_epoch(space.storage)
    path.unlink()
    Lease.acquire(space.storage).release()
    with pytest.raises(Lost, match="taken over"):
        commit_shards(space, build.recipe, space.partitions(1), lock, epoch)
    assert not path.exists()
    commit_shards(space, build.recipe, space.partitions(1), lock, epoch + 1)
    assert path.exists()
