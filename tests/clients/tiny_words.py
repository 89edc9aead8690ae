"""Tokenizers and processors without a download, for clients that need one: every word of a release is a token.

Importing it first makes a torchvision for CUDA work with a torch for the CPU (see `interlink/engines/guard.py`).
"""

from __future__ import annotations

import json
import re
import runpy
from itertools import takewhile
from pathlib import Path
from typing import Any

runpy.run_path(str(Path(__file__).parents[2] / "interlink" / "engines" / "guard.py"))["ensure_torchvision"]()

# The numbers of Qwen-VL's own vocabulary: its finetuning code finds answers by them.
QWEN = {
    "<nl>": 198,  # a line break, which comes after `assistant`
    "assistant": 77091,
    "<|endoftext|>": 151643,
    "<|im_start|>": 151644,
    "<|im_end|>": 151645,
    "<|vision_start|>": 151652,
    "<|vision_end|>": 151653,
    "<|image_pad|>": 151655,
    "<|video_pad|>": 151656,
}
TEMPLATE = """{% for message in messages %}<|im_start|> {{ message.role }} <nl> {% if message.content is string %}
{{- message.content }}{% else %}{% for part in message.content %}
{%- if part.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>
{%- elif part.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>
{%- else %}{{ part.text }}{% endif %}{% endfor %}{% endif %} <|im_end|> {% endfor %}"""


def words(out: Path) -> list[str]:
    """Every word and mark in the conversations of a release, and the words of common prompts."""
    files = [*out.glob("llava*/*.json"), *out.glob("messages*/*.jsonl")]
    text = " ".join(path.read_text().replace(r"\n", " ") for path in files)
    found = set(re.findall(r"\w+|[^\w\s]", text))
    return sorted(found | set(re.findall(r"\w+|[^\w\s]", "user system USER ASSISTANT You are a helpful assistant . :")))


def tokenizer(out: Path, special: dict[str, int], kind: str = "PreTrainedTokenizerFast", **names: str) -> Any:
    """A tokenizer of `transformers` with the words of a release; `special`: the numbers of other tokens."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {"<unk>": 0, **special}
    free = (number for number in range(1, 10**6) if number not in special.values())
    vocabulary |= {word: next(free) for word in words(out) if word not in special}
    vocabulary |= {f"<unused {number}>": number for number in takewhile(lambda n: n < max(special.values()), free)}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens([name for name in special if name.startswith("<")])
    return getattr(transformers, kind)(tokenizer_object=made, unk_token="<unk>", model_max_length=4096, **names)


def qwen(out: Path) -> Any:
    """A processor of Qwen2.5-VL."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor, Qwen2VLVideoProcessor

    known = tokenizer(out, QWEN, "Qwen2TokenizerFast", pad_token="<|endoftext|>", eos_token="<|im_end|>")
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(min_pixels=784, max_pixels=3136),
        tokenizer=known,
        video_processor=Qwen2VLVideoProcessor(min_pixels=784, max_pixels=3136),
        chat_template=TEMPLATE,
    )


def entries(path: Path) -> list[dict[str, Any]]:
    """The entries of a file of JSON or JSON lines."""
    text = path.read_text()
    found: list[dict[str, Any]] = json.loads(text) if text.startswith("[") else [*map(json.loads, text.splitlines())]
    return found
