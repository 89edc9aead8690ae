"""The tokenizer of an export loads in transformers, and cuts and pads as a text tower reads."""

from __future__ import annotations

import json
from pathlib import Path

from cosmos_train.families.words import write_text_tower_tokenizer, write_tokenizer
from cosmos_train.models.backends import transformers
from cosmos_train.stream.tokenizer import Tokenizer


def test_a_language_models_tokenizer_adds_nothing(words: Tokenizer, tmp_path: Path) -> None:
    write_tokenizer(tmp_path, words, 16)
    loaded = transformers().AutoTokenizer.from_pretrained(str(tmp_path))
    assert loaded("a red square").input_ids == words.encode("a red square")
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (words.begin, words.end, words.pad)
    assert Tokenizer.load(tmp_path / "tokenizer.json", words.names).backend.to_str() == words.backend.to_str()


def test_the_config_names_what_transformers_4_and_5_know(words: Tokenizer, tmp_path: Path) -> None:
    """Version 4 does not know version 5's TokenizersBackend, and drops the first space unless the config has it."""
    write_tokenizer(tmp_path, words, 16)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert (config["tokenizer_class"], config["add_prefix_space"]) == ("PreTrainedTokenizerFast", True)
    assert (config["padding_side"], config["truncation_side"], config["model_max_length"]) == ("right", "right", 16)


def test_a_towers_tokenizer_adds_both_ends_and_ignores_marks(words: Tokenizer, tmp_path: Path) -> None:
    write_text_tower_tokenizer(tmp_path, words, words.size, 8)
    loaded = transformers().AutoTokenizer.from_pretrained(str(tmp_path))
    (ids,) = loaded(["a </s> red"], padding="max_length", max_length=16, truncation=True).input_ids
    wanted = [words.begin, *words.encode("a   red"), words.end]
    assert ids == wanted + [words.pad] * (16 - len(wanted))
    (ids,) = loaded(["red " * 20], padding="max_length", max_length=8, truncation=True).input_ids
    assert (len(ids), ids[0], ids[-1]) == (8, words.begin, words.end)
