"""webdataset 0.2: pairs, videos and obelics, with its own decoder."""
# requires: webdataset==0.2.86
# requires: pillow==12.0.0
# requires: numpy==2.3.5

import json
import sys
from pathlib import Path

import webdataset as wds

out = Path(sys.argv[1])
pairs = wds.WebDataset(str(out / "pairs/train/00000.tar")).decode("pil").to_tuple("jpg", "txt", "json")
found = list(pairs)
assert len(found) == json.loads((out / "pairs/train/num_samples.json").read_text())["00000.tar"] == 30
for image, text, about in found:
    assert image.size == (48, 32) and text == about["caption"] and text.startswith("A hand does step")
videos = list(wds.WebDataset(str(out / "videos/train/00000.tar")))
assert len(videos) == 5 and all(sample["mp4"] == Path("moving.mp4").read_bytes() for sample in videos)
documents = list(wds.WebDataset(str(out / "obelics/train-00000.tar")))
assert len(documents) == 5 and all(len(json.loads(sample["json"])["texts"]) == 9 for sample in documents)
