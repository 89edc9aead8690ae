"""Batches as records: moved, sent and compared whole; a reader holds no state of who watches it."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from cosmos_train.stream.batch import BadSample, Batch, Sample
from cosmos_train.stream.collate import collate
from cosmos_train.stream.records import map_leaves
from cosmos_train.stream.shards import Reader
from cosmos_train.stream.stream import _Sent
from cosmos_train.stream.tokenizer import END_OF_CHUNK, VISUAL, Tokenizer


@pytest.fixture
def batch() -> Batch:
    words = Tokenizer.train(["fold the paper"], 400)
    frames = np.arange(2 * 3 * 64 * 64, dtype=np.uint8).reshape(2, 3, 64, 64)
    sample = Sample("a", ("fold", ""), (frames, frames[:1]), ((0.0, 1.5), (2.0,)))
    return collate([sample, BadSample("b", "gone")], words, 32, "videos")


def tensors(batch: Batch) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    map_leaves(batch, torch.Tensor, found.append)
    return found


def test_every_tensor_of_every_part_moves(batch: Batch) -> None:
    there = batch.to(torch.device("meta"))
    assert len(tensors(there)) == len(tensors(batch)) == 7 + 4 + 6 + 1
    assert all(tensor.is_meta for tensor in tensors(there))
    assert (there.keys, there.texts, there.bad_samples) == (batch.keys, batch.texts, batch.bad_samples)


def test_a_batch_arrives_from_a_reader_as_it_was_sent(batch: Batch) -> None:
    sent = pickle.loads(pickle.dumps(_Sent.pack(batch)))
    found = sent.unpack()
    assert isinstance(found, Batch)
    assert found.digest() == batch.digest()
    for one, other in zip(tensors(found), tensors(batch), strict=True):
        assert one.dtype == other.dtype and torch.equal(one, other)


def test_a_batch_counts_what_the_model_sees(batch: Batch) -> None:
    assert (len(batch), batch.num_images) == (1, 3)
    assert batch.num_tokens == int(batch.rows.mask.sum()) > 3


def test_a_reader_reports_reads_to_who_asked_for_them(make_shards: Callable[..., Path]) -> None:
    reader = Reader([str(make_shards(documents=3))])
    before = {name: value for name, value in vars(reader).items() if name != "_files"}
    seen: list[int] = []
    reader.read_many([0, 2], seen.append)
    reader.read_many([1])
    assert seen == [0, 0]
    assert before == {name: value for name, value in vars(reader).items() if name != "_files"}


def test_words_that_look_like_markers_do_not_become_them() -> None:
    words = Tokenizer.train(["fold the paper"], 400)
    marked = f"fold {VISUAL}the{END_OF_CHUNK} <s>paper</s><pad>"
    special = {words.begin, words.end, words.pad, words.visual, words.end_of_chunk}
    assert special & set(words.encode(marked)) == special
    assert not special & set(words.encode(words.without_markers(marked)))
