"""CosMo's objective: which pairs are contrasted, and what a batch without anything readable costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.nn.functional import pad

from cosmos_train.families.cosmo import objective as objective
from cosmos_train.families.cosmo.model import CosMo, build_cosmo
from cosmos_train.losses.contrastive import contrastive_loss
from cosmos_train.losses.settings import ObjectiveSettings
from cosmos_train.models.routing import Calls, Routing, RoutingPass
from cosmos_train.recipe import Recipe
from cosmos_train.stream.batch import IGNORED, BadSample, Batch, Sample
from cosmos_train.stream.collate import Placed, collate, collate_packed
from cosmos_train.stream.tokenizer import Tokenizer

Tiny = Callable[..., Recipe]
MakeSamples = Callable[..., list[Sample]]


@pytest.fixture
def model(tiny: Tiny, words: Tokenizer) -> CosMo:
    torch.manual_seed(0)
    return build_cosmo(tiny(), words).eval()


def test_the_first_clips_embedding_is_the_same_from_the_whole_sample_and_alone(
    model: CosMo, words: Tokenizer, make_samples: MakeSamples
) -> None:
    batch = collate(make_samples(4), words, 64)
    with torch.no_grad():
        first = objective.compute(model, batch, ObjectiveSettings(pairs="first"))
        every = objective.compute(model, batch, ObjectiveSettings(pairs="every"))
    assert len(first.group) == 4
    assert len(every.group) == len(batch.pairs.clip) > 4
    assert torch.allclose(first.text, every.text[batch.pairs.first], atol=1e-5)
    assert torch.equal(first.media, every.media[batch.pairs.first])
    assert torch.equal(first.language, every.language)


@pytest.mark.parametrize("pairs", ["first", "every"])
def test_pairs_alone_are_what_the_whole_pass_gives(
    pairs: str, model: CosMo, words: Tokenizer, make_samples: MakeSamples
) -> None:
    batch, settings = collate(make_samples(3), words, 64), ObjectiveSettings.model_validate({"pairs": pairs})
    with torch.no_grad():
        whole = objective.compute(model, batch, settings)
        alone = objective.compute(model, batch, settings, language=False)
    assert float(alone.language) == 0
    assert torch.equal(whole.media, alone.media)
    assert torch.allclose(whole.text, alone.text, atol=1e-6)


def test_clips_without_text_or_frames_are_no_pairs(model: CosMo, words: Tokenizer, make_samples: MakeSamples) -> None:
    sample = make_samples(2)[1]
    silent = replace(sample, texts=("", sample.texts[1]))
    blind = replace(
        sample, frames=(sample.frames[0][:0], sample.frames[1]), times=((), sample.times[1])
    )  # fmt: skip
    for one in (silent, blind):
        batch = collate([one, sample], words, 64)
        with torch.no_grad():
            outputs = objective.compute(model, batch, ObjectiveSettings(pairs="every"))
            other = objective.compute(model, collate([sample], words, 64), ObjectiveSettings(pairs="every"))
        assert len(outputs.group) == 3
        assert torch.allclose(outputs.media[1:], other.media, atol=1e-5)
        assert torch.allclose(outputs.text[1:], other.text, atol=1e-5)


def test_padding_changes_neither_losses_nor_embeddings(
    model: CosMo, words: Tokenizer, make_samples: MakeSamples
) -> None:
    batch = collate(make_samples(4), words, 64)
    longer = replace(
        batch,
        rows=replace(
            batch.rows,
            tokens=pad(batch.rows.tokens, (0, 5), value=7),
            labels=pad(batch.rows.labels, (0, 5), value=IGNORED),
            mask=pad(batch.rows.mask, (0, 5)),
        ),
        pairs=replace(
            batch.pairs,
            tokens=pad(batch.pairs.tokens, (0, 5), value=7),
            mask=pad(batch.pairs.mask, (0, 5)),
        ),
    )
    for settings in (ObjectiveSettings(pairs="first"), ObjectiveSettings(pairs="every")):
        with torch.no_grad():
            short, long = objective.compute(model, batch, settings), objective.compute(model, longer, settings)
        assert torch.allclose(short.language, long.language, rtol=1e-5)
        assert torch.allclose(short.text, long.text, atol=1e-5)


def unreadable(kind: str, words: Tokenizer) -> Batch:
    if kind == "plain":
        return collate([BadSample("bad", "gone")], words, 64)
    return collate_packed([Placed(0, 0, 9, BadSample("bad", "gone"))], 2, words, 32)


@pytest.mark.parametrize("pairs", ["first", "every"])
@pytest.mark.parametrize("kind", ["plain", "packed"])
def test_a_batch_of_bad_samples_gives_zero_losses_and_touches_every_weight(
    kind: str, pairs: str, tiny: Tiny, words: Tokenizer
) -> None:
    """Other processes wait for this one in every layer, so none may be left out."""
    model = build_cosmo(tiny(), words)
    settings = ObjectiveSettings.model_validate({"pairs": pairs})
    outputs = objective.compute(model, unreadable(kind, words), settings)
    loss = outputs.language + objective.contrast(outputs, settings)
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_as_released_interleaved_samples_are_not_contrasted(
    model: CosMo, words: Tokenizer, make_samples: MakeSamples
) -> None:
    batch = collate(make_samples(4), words, 64)
    clips = batch.media.clip_mask.sum(1)
    for pairs in ("first", "every"):
        settings = ObjectiveSettings.model_validate({"pairs": pairs, "paper_compat": {"single_pairs": True}})
        with torch.no_grad():
            outputs = objective.compute(model, batch, settings)
        assert torch.equal(outputs.group, batch.pairs.group[batch.pairs.first[clips == 1]])


def test_as_released_equal_captions_are_negatives(model: CosMo, words: Tokenizer, make_samples: MakeSamples) -> None:
    sample = make_samples(1)[0]
    other = replace(make_samples(1, seed=1)[0], texts=(sample.texts[0].upper(),))
    batch = collate([sample, other], words, 64)
    assert batch.pairs.group[0] == batch.pairs.group[1]
    with torch.no_grad():
        outputs = objective.compute(model, batch, ObjectiveSettings())
    assert float(objective.contrast(outputs, ObjectiveSettings())) == pytest.approx(0, abs=1e-6)
    released = objective.contrast(outputs, ObjectiveSettings.model_validate({"paper_compat": {"no_guard": True}}))
    plain = contrastive_loss(outputs.media, outputs.text, outputs.scale, torch.arange(2))
    assert float(released) == pytest.approx(float(plain)) and float(released) > 0.1


@pytest.mark.parametrize(("contrastive", "expected"), [("infonce", 0.0), ("siglip", -10.0)])
def test_only_siglip_adds_a_bias_to_similarities(
    contrastive: str, expected: float, tiny: Tiny, words: Tokenizer, make_samples: MakeSamples
) -> None:
    model = build_cosmo(tiny(objective__contrastive=contrastive), words)
    settings = ObjectiveSettings.model_validate({"contrastive": contrastive})
    outputs = objective.compute(model, collate(make_samples(2), words, 64), settings)
    assert outputs.bias.flatten().tolist() == [expected]
    assert outputs.scale.flatten().tolist() == pytest.approx([10.0 if contrastive == "siglip" else 1 / 0.07], rel=0.05)


def test_routers_add_their_weighted_losses_where_any_ran() -> None:
    ran = Calls()
    ran.add(Routing(torch.tensor(3.0), torch.tensor(5.0), torch.ones(2) / 2))
    settings = ObjectiveSettings.model_validate({"balance_weight": 0.1, "router_z_weight": 0.01})
    found = objective._routing(RoutingPass({"vision.mlp": ran}), settings)
    assert found is not None and float(found) == pytest.approx(0.1 * 3 + 0.01 * 5)
    assert objective._routing(RoutingPass({"vision.mlp": Calls()}), settings) is None  # evaluation
    assert objective._routing(RoutingPass({}), settings) is None  # a dense model


def test_the_row_of_padding_belongs_to_no_document_and_learns_nothing(words: Tokenizer) -> None:
    batch = objective._with_a_row(unreadable("plain", words))
    rows = batch.rows
    assert rows.tokens.tolist() == [[0]] and rows.labels.tolist() == [[IGNORED]] and rows.mask.tolist() == [[False]]
    assert rows.document.tolist() == [[-1]] and rows.position.tolist() == [[0]]
    assert rows.media_from.tolist() == rows.media_upto.tolist() == [[0]]
    assert batch.pairs.tokens.tolist() == [[0]] and batch.pairs.mask.tolist() == [[True]]
    assert objective.learned_tokens(batch) == 0
