"""wids: random access to the pairs."""
# requires: webdataset==0.2.86
# requires: wids==0.1.11
# requires: numpy==2.3.5
# requires: pillow==12.0.0
# requires: torch==2.13.0

import sys
from pathlib import Path

import wids

tar = str(Path(sys.argv[1]) / "pairs/train/00000.tar")
found = wids.ShardListDataset([{"url": tar, "nsamples": 30}])
assert len(found) == 30
for number in (29, 0, 17):
    assert found[number][".jpg"].size == (48, 32) and found[number][".txt"].startswith("A hand does step")
