"""A tiny random Whisper, made here and saved to disk: a real model that hears nonsense; no download."""

from __future__ import annotations

from pathlib import Path
from typing import Any

LANGUAGES = ("en", "de")


def save_whisper(folder: Path, word_times: bool = True, multilingual: bool = True) -> Path:
    """A Whisper of 70 k parameters with a byte-level tokenizer, as transformers saves it."""
    from interlink.engines.guard import ensure_torchvision

    ensure_torchvision()
    import torch
    import transformers

    torch.set_num_threads(1)
    tokenizer = _tokenizer(multilingual)
    number = tokenizer.convert_tokens_to_ids
    torch.manual_seed(0)
    config = transformers.WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=80,
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_source_positions=1500,
        max_target_positions=448,
        pad_token_id=number("<|endoftext|>"),
        bos_token_id=number("<|endoftext|>"),
        eos_token_id=number("<|endoftext|>"),
        decoder_start_token_id=number("<|startoftranscript|>"),
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = transformers.WhisperForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(std=0.3)
    generation = model.generation_config
    generation.no_timestamps_token_id = number("<|notimestamps|>")
    generation.max_initial_timestamp_index = 50
    generation._from_model_config = False  # else it is made anew, without what follows, when it is loaded
    generation.max_length = 40
    generation.begin_suppress_tokens = [number("<|endoftext|>")]
    generation.is_multilingual = multilingual
    generation.prev_sot_token_id = number("<|startofprev|>")
    if multilingual:
        generation.lang_to_id = {f"<|{name}|>": number(f"<|{name}|>") for name in LANGUAGES}
        generation.task_to_id = {"transcribe": number("<|transcribe|>"), "translate": number("<|translate|>")}
    if word_times:
        generation.alignment_heads = [[0, 0], [0, 1]]
    model.save_pretrained(folder)
    transformers.WhisperProcessor(transformers.WhisperFeatureExtractor(feature_size=80), tokenizer).save_pretrained(
        folder
    )
    return folder


def convert(folder: Path, target: Path) -> Path:
    """The same checkpoint as faster-whisper wants it."""
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(folder), copy_files=["tokenizer.json"]).convert(str(target))
    return target


def _tokenizer(multilingual: bool) -> Any:
    from tokenizers import pre_tokenizers
    from transformers import WhisperTokenizer

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = ["<|endoftext|>", "<|startoftranscript|>"]
    special += [f"<|{name}|>" for name in LANGUAGES]
    special += ["<|translate|>", "<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>"]
    special += ["<|notimestamps|>"]
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": special}, replace_extra_special_tokens=False)
    tokenizer.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(1501)])
    return tokenizer
