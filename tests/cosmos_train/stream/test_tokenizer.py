"""The tokenizer: same texts give the same file, and what it reads back is what was said."""

from __future__ import annotations

from pathlib import Path

from cosmos_train.stream.tokenizer import Tokenizer

TEXTS = ["Now we wrap the green chair with striped tape.", "Next, wash the purple guitar.", "déjà vu, 折り紙"] * 3


def test_training_is_deterministic(tmp_path: Path) -> None:
    for name in ("a", "b"):
        Tokenizer.train(TEXTS, 500).save(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_any_text_survives_the_round_trip_and_the_file(tmp_path: Path) -> None:
    trained = Tokenizer.train(TEXTS, 500)
    trained.save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json", trained.names)
    for text in (*TEXTS, "words never seen: Ωmega 🙂"):
        ids = trained.encode(text)
        assert loaded.encode(text) == ids
        assert loaded.decode(ids) == text
    assert (loaded.visual, loaded.end_of_chunk, loaded.pad) == (trained.visual, trained.end_of_chunk, trained.pad)


def test_special_tokens_are_single_and_not_decoded() -> None:
    tokenizer = Tokenizer.train(TEXTS, 500)
    special = {tokenizer.begin, tokenizer.end, tokenizer.pad, tokenizer.visual, tokenizer.end_of_chunk}
    assert len(special) == 5
    assert (
        tokenizer.decode([tokenizer.begin, tokenizer.visual, *tokenizer.encode("wash it"), tokenizer.end]) == "wash it"
    )
