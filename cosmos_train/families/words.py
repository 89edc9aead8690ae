"""An exported tokenizer: `tokenizer.json` and `tokenizer_config.json`, which transformers 4.57 and 5 load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cosmos_train.stream.tokenizer import END_OF_CHUNK, VISUAL, Tokenizer


def write_tokenizer(out: Path, tokenizer: Tokenizer, length: int) -> None:
    """The tokenizer of a language model: it adds no tokens. length: of the longest text, tokens.

    The file is in our own form: reading it back gives the trained tokenizer.
    """
    tokenizer.save(out / "tokenizer.json")
    names = tokenizer.names
    special = {"pad_token": names["pad"], "additional_special_tokens": [VISUAL, END_OF_CHUNK]}
    _write_config(out, tokenizer, length, special)


def write_text_tower_tokenizer(out: Path, tokenizer: Tokenizer, vocabulary: int, length: int) -> None:
    """The tokenizer of a text tower: `<begin> words <end>`, cut and padded on the right.

    vocabulary: number of ids that the tower has; tokens beyond it are left out. Special tokens in a text become spaces,
    as in training. Padding is id 0 if the tokenizer has a token for it, else the end: a causal tower never sees it.
    """
    content: dict[str, Any] = json.loads(tokenizer.backend.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["id"] < vocabulary]
    names = tokenizer.names
    markers = (*names.values(), VISUAL, END_OF_CHUNK)
    steps = [{"type": "Replace", "pattern": {"String": marker}, "content": " "} for marker in dict.fromkeys(markers)]
    steps += [content["normalizer"]] if content["normalizer"] else []
    content["normalizer"] = {"type": "Sequence", "normalizers": steps}
    ends = {"begin": (names["begin"], tokenizer.begin), "end": (names["end"], tokenizer.end)}
    special = {name: {"id": name, "ids": [number], "tokens": [name]} for name, number in ends.values()}
    begin, end = ({"SpecialToken": {"id": name, "type_id": 0}} for name, _ in ends.values())
    words = [{"Sequence": {"id": letter, "type_id": 0}} for letter in ("A", "B")]
    content["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [begin, words[0], end],
        "pair": [begin, *words, end],
        "special_tokens": special,
    }
    (out / "tokenizer.json").write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    pad = names["pad"] if tokenizer.pad == 0 else names["end"]
    _write_config(out, tokenizer, length, {"pad_token": pad, "split_special_tokens": True})


def _write_config(out: Path, tokenizer: Tokenizer, length: int, more: dict[str, Any]) -> None:
    """The class is named as transformers 4 and 5 both know it; what version 5 itself writes, version 4 cannot load.

    Version 4 sets `add_prefix_space` of the file to the config's value, which is False if it is absent.
    """
    splitter: dict[str, Any] = json.loads(tokenizer.backend.to_str())["pre_tokenizer"] or {}
    prefix = {"add_prefix_space": splitter["add_prefix_space"]} if "add_prefix_space" in splitter else {}
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": tokenizer.names["begin"],
        "eos_token": tokenizer.names["end"],
        **prefix,
        "model_max_length": length,
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
        **more,
    }
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n", encoding="utf-8")
