"""LLaVA-NeXT: its dataset for training, on documents with several pictures and on clips' videos."""
# requires: transformers==4.40.2
# requires: tokenizers==0.19.1
# requires: torch==2.13.0
# requires: torchvision==0.28.0
# requires: numpy==2.4.6
# requires: pillow==13.0.0
# requires: accelerate==1.15.0
# requires: sentencepiece==0.2.3
# requires: requests==2.34.2
# requires: einops==0.8.2
# requires: protobuf==7.36.2
# requires: av==16.0.1
# requires: decord==0.6.0
# requires: peft==0.10.0
# requires: trl==0.8.6
# requires: open_clip_torch==2.24.0
# requires: timm==0.9.16
# source: https://github.com/LLaVA-VL/LLaVA-NeXT df179663ae8b83207df100a1f7af24caec633ff9

# ruff: noqa: E402 - what a machine without a GPU lacks is replaced before the client is imported

import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace

sys.modules["deepspeed"] = ModuleType("deepspeed")  # for training on GPUs; the dataset does not use it
sys.modules["deepspeed"].__spec__ = ModuleSpec("deepspeed", None)
from tiny_words import entries, tokenizer

# isort: split
from llava import conversation
from llava.constants import IMAGE_TOKEN_INDEX
from llava.train.train import LazySupervisedDataset
from transformers import CLIPImageProcessor

release = Path(sys.argv[1])
words = tokenizer(release, {"<s>": 1, "</s>": 2}, bos_token="<s>", eos_token="</s>", pad_token="<unk>")
words.legacy = True  # as Vicuna's tokenizer has it
conversation.default_conversation = conversation.conv_templates["v1"]


def dataset(out: Path, **media: str) -> LazySupervisedDataset:
    arguments = SimpleNamespace(
        image_processor=CLIPImageProcessor(), image_aspect_ratio="square", is_multimodal=True,
        mm_use_im_start_end=False, early_mix_text=False, video_fps=4, frames_upbound=8, force_sample=False,
        add_time_instruction=False, **media,
    )  # fmt: skip
    return LazySupervisedDataset(str(out / "train.json"), words, arguments)


out = release / "llava-document"
found, said = dataset(out, image_folder=str(out / "images")), entries(out / "train.json")
assert len(found) == len(said) == 5
for number, entry in enumerate(said):
    sample = found._get_item(number)
    assert len(sample["image"]) == len(entry["image"]) == 6
    assert (sample["input_ids"] == IMAGE_TOKEN_INDEX).sum() == 6
    assert all(size == (48, 32) and kind == "image" for _, size, kind in sample["image"])

out = release.parent / "next" / "llava-video"
found = dataset(out, video_folder=str(out / "videos"))
assert len(found) == 5
for number in range(5):
    video = out / "videos" / found.list_data_dict[number]["video"]
    from llava.utils import process_video_with_decord

    frames, seconds, *_ = process_video_with_decord(str(video), found.data_args)
    assert len(frames) == 4 and seconds == 1.0
    assert abs(float(frames[0].mean()) - 0) < 6 and float(frames[-1].mean()) > 150
    (words_of,) = [turn["value"] for turn in found.list_data_dict[number]["conversations"][:1]]
    assert words_of.startswith("<image>\n")
