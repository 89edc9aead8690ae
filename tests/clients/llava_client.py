"""LLaVA 1.5: its dataset and collator for training, in its conversation of stage 2 and its plain one of stage 1."""
# requires: transformers==4.37.2
# requires: tokenizers==0.15.1
# requires: torch==2.13.0
# requires: torchvision==0.28.0
# requires: numpy==1.26.4
# requires: pillow==13.0.0
# requires: sentencepiece==0.2.3
# requires: requests==2.34.2
# requires: einops==0.8.2
# requires: protobuf==7.36.2
# source: https://github.com/haotian-liu/LLaVA c121f0432da27facab705978f83c4ada465e46fd

import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from llava import conversation
from llava.constants import IMAGE_TOKEN_INDEX
from llava.train.train import make_supervised_data_module
from PIL import Image
from tiny_words import entries, tokenizer
from transformers import CLIPImageProcessor

out = Path(sys.argv[1]) / "llava"
words = tokenizer(out.parent, {"<s>": 1, "</s>": 2}, bos_token="<s>", eos_token="</s>", pad_token="<unk>")
processor = CLIPImageProcessor()
arguments = SimpleNamespace(
    data_path=str(out / "train.json"), image_folder=str(out / "images"), image_processor=processor,
    image_aspect_ratio="square", is_multimodal=True, mm_use_im_start_end=False,
)  # fmt: skip
said = entries(out / "train.json")
for version in ("v1", "plain"):
    conversation.default_conversation = conversation.conv_templates[version]
    module = make_supervised_data_module(words, arguments)
    dataset = module["train_dataset"]
    assert len(dataset) == len(said) == 15 and all(length > 0 for length in dataset.modality_lengths)
    for number, entry in enumerate(said):
        found = dataset[number]
        assert (found["input_ids"] == IMAGE_TOKEN_INDEX).sum() == 1
        text = words.decode(found["input_ids"][found["input_ids"] >= 0])
        answer = entry["conversations"][1]["value"]
        assert answer.rstrip(".") in text, (answer, text)
        picture = Image.open(out / "images" / entry["image"])
        assert picture.size == (48, 32)
        assert torch.equal(found["image"], processor(picture.convert("RGB"), return_tensors="pt")["pixel_values"][0])
    if version == "plain":
        learned = words.decode(found["labels"][found["labels"] >= 0])
        assert learned.startswith("A hand does step"), learned
    batch = module["data_collator"]([dataset[number] for number in range(5)])
    assert batch["images"].shape == (5, 3, 224, 224) and batch["input_ids"].shape[0] == 5
