"""LLaMA-Factory: its whole data pipeline for supervised finetuning, with the template of Qwen2-VL."""
# requires: llamafactory==0.9.5
# requires: torch==2.13.0
# requires: torchvision==0.28.0

# ruff: noqa: E402 - what a machine without a GPU lacks is replaced before the client is imported

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from tiny_words import QWEN, entries, qwen

sys.modules["torchaudio"] = ModuleType("torchaudio")  # on PyPI for CUDA only; sound is not used
sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", None)
# isort: split
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import DataArguments, ModelArguments
from transformers import Seq2SeqTrainingArguments

release = Path(sys.argv[1])
processor = qwen(release)
for key, value in {"image_max_pixels": 3136, "image_min_pixels": 784, "video_max_pixels": 3136,
                   "video_min_pixels": 784, "video_fps": 4.0, "video_maxlen": 8}.items():  # fmt: skip
    setattr(processor, key, value)
for name, kind, count in (("messages", "image", 6), ("messages-video", "video", 1)):
    out = release / name
    data = DataArguments(
        template="qwen2_vl", dataset="told_train", dataset_dir=str(out), media_dir=str(out), cutoff_len=4096
    )
    template = get_template_and_fix_tokenizer(processor.tokenizer, data)
    training = Seq2SeqTrainingArguments(output_dir="llama_factory_out", report_to=[], use_cpu=True)
    model = ModelArguments(model_name_or_path="tiny")
    rows = get_dataset(template, model, data, training, "sft", processor.tokenizer, processor)["train_dataset"]
    said = entries(out / "train.jsonl")
    assert len(rows) == len(said) == 5
    for row, entry in zip(rows, said, strict=True):
        assert len(row[f"{kind}s"]) == count and all(Path(path).is_file() for path in row[f"{kind}s"])
        assert row["input_ids"].count(QWEN[f"<|{kind}_pad|>"]) >= count
        learned = processor.tokenizer.decode([number for number in row["labels"] if number >= 0])
        for message in entry["messages"][1::2]:
            assert message["content"].rstrip(".") in learned, (message, learned)
