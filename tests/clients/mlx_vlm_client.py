"""mlx-vlm: its loader, dataset for finetuning and processor of Qwen2.5-VL, on `messages` and their pictures."""
# requires: mlx-cpu==0.32.4
# requires: mlx-vlm==0.7.10

import sys
from pathlib import Path

from mlx_vlm.models.qwen2_5_vl.processing_qwen2_5_vl import Qwen2_5_VLProcessor
from mlx_vlm.models.qwen3_vl.processing_qwen3_vl import Qwen3VLImageProcessor, Qwen3VLVideoProcessor
from mlx_vlm.trainer.datasets.loading import load
from mlx_vlm.trainer.vlm.sft.dataset import VisionDataset
from tiny_words import QWEN, TEMPLATE, entries, tokenizer

out = Path(sys.argv[1]) / "messages"
splits = load(out)
assert len(splits["train"]) == 5
words = tokenizer(out.parent, QWEN, pad_token="<|endoftext|>", eos_token="<|im_end|>")
processor = Qwen2_5_VLProcessor(
    image_processor=Qwen3VLImageProcessor(min_pixels=784, max_pixels=3136, patch_size=14, merge_size=2),
    tokenizer=words,
    video_processor=Qwen3VLVideoProcessor(),
    chat_template=TEMPLATE,
)
config = {"model_type": "qwen2_5_vl", "image_token_id": QWEN["<|image_pad|>"]}
dataset = VisionDataset(splits["train"], config, processor, {"train_on_completions": True})
for number, entry in enumerate(entries(out / "train.jsonl")):
    found = dataset[number]
    assert len(found["image_grid_thw"]) == len(entry["images"]) == 6
    ids = [int(one) for one in found["input_ids"].tolist()]
    assert ids.count(QWEN["<|image_pad|>"]) == int(found["image_grid_thw"].prod(axis=-1).sum()) // 4
    text = words.decode([one for one in ids if one not in QWEN.values()])
    for message in entry["messages"][1::2]:
        assert message["content"].rstrip(".") in text, (message, text)
    learned = words.decode([one for one, wanted in zip(ids, found["completion_mask"].tolist(), strict=True) if wanted])
    assert entry["messages"][-1]["content"].rstrip(".") in learned, learned
