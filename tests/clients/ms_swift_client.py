"""ms-swift: its loader and preprocessor, and its template's input with pictures and videos, on the JSON lines."""
# requires: ms-swift==4.6.0
# requires: torch==2.13.0
# requires: torchvision==0.28.0

import os
import sys
from pathlib import Path

from tiny_words import entries

# isort: split
from swift.dataset import load_dataset
from swift.template.template_inputs import StdTemplateInputs
from swift.template.vision_utils import load_batch

out = Path(sys.argv[1])
for name, media, count in (("messages", "images", 6), ("messages-video", "videos", 1)):
    os.chdir(out / name)  # as `swift sft` is started there; or ROOT_IMAGE_DIR
    dataset, _ = load_dataset("train.jsonl", strict=True)
    said = entries(out / name / "train.jsonl")
    assert len(dataset) == len(said) == 5
    for row, entry in zip(dataset, said, strict=True):
        given = StdTemplateInputs.from_dict(row)
        assert given.is_multimodal and given.messages == entry["messages"]
        paths = [one["path"] if isinstance(one, dict) else one for one in getattr(given, media)]
        assert paths == entry[media] and len(paths) == count
        shown = sum(message["content"].count(f"<{media[:-1]}>") for message in given.messages)
        assert shown == count
        if media == "images":
            assert {picture.size for picture in load_batch(paths)} == {(48, 32)}
        else:
            assert all(Path(path).stat().st_size > 0 for path in paths)
