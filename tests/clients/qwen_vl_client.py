"""Qwen-VL's finetuning: its dataset and collator, on documents with several pictures and on clips' videos."""
# requires: torch==2.13.0
# requires: torchvision==0.28.0
# requires: transformers==4.57.6
# requires: pillow==12.0.0
# requires: numpy==2.3.5
# requires: accelerate==1.15.0
# requires: av==18.1.0
# source: https://github.com/QwenLM/Qwen3-VL 96588727e44c78b25ba03ea03b8e12f7e64fd0da qwen-vl-finetune

import json
import sys
from pathlib import Path
from types import SimpleNamespace

from tiny_words import QWEN, entries, qwen

# isort: split
import qwenvl.data
import torch
from qwenvl.data.data_processor import DataCollatorForSupervisedDataset, LazySupervisedDataset
from transformers import video_processing_utils, video_utils

# transformers 4.57 takes torchvision where torchcodec is absent, whose newest release has no decoder
video_processing_utils.load_video = lambda video, backend, **rest: video_utils.load_video(video, backend="pyav", **rest)

release = Path(sys.argv[1])
for name in ("llava-document", "llava-video"):
    for key, paths in json.loads((release / name / "qwen_vl.json").read_text()).items():
        qwenvl.data.data_dict[f"{name}:{key}"] = {kind: str(release / name / path) for kind, path in paths.items()}
arguments = {
    "model_type": "qwen2.5vl", "data_packing": False, "min_pixels": 784, "max_pixels": 3136, "video_min_pixels": 784,
    "video_max_pixels": 3136, "video_min_frames": 4, "video_max_frames": 8, "video_fps": 4.0,
}  # fmt: skip
processor = qwen(release)
for name, kind, count in (("llava-document", "image", 6), ("llava-video", "video", 1)):
    dataset = LazySupervisedDataset(processor, SimpleNamespace(dataset_use=f"{name}:told_train", **arguments))
    said = entries(release / name / "train.json")
    assert len(dataset) == len(said) == 5
    samples = [dataset._get_item([entry]) for entry in dataset.list_data_dict]  # `[…]` would hide what fails
    for sample, entry in zip(samples, said, strict=True):
        assert len(sample[f"{kind}_grid_thw"]) == count
        ids = sample["input_ids"][0]
        pads = int((ids == QWEN[f"<|{kind}_pad|>"]).sum())
        assert pads == int(sample[f"{kind}_grid_thw"].prod(-1).sum()) // 4 > 0
        learned = processor.tokenizer.decode(sample["labels"][0][sample["labels"][0] >= 0])
        for turn in entry["conversations"][1::2]:
            assert turn["value"].rstrip(".") in learned, (turn["value"], learned)
    pixels = samples[0]["pixel_values" if kind == "image" else "pixel_values_videos"]
    assert torch.isfinite(pixels).all() and pixels.std() > 0.1
    batch = DataCollatorForSupervisedDataset(processor.tokenizer)(samples)
    assert batch["input_ids"].shape[0] == 5 and len(batch[f"{kind}_grid_thw"]) == 5 * count
