"""The ledger's operations are those that torch counts, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cosmos_train.families.cosmo.family import CosMoFamily
from cosmos_train.families.cosmo.flops import CosMoFlopCount, padded, useful
from cosmos_train.families.cosmo.model import CosMo, build_cosmo
from cosmos_train.families.cosmo.objective import compute
from cosmos_train.models.language import find_stack
from cosmos_train.models.pretrained import build_lm
from cosmos_train.recipe import Recipe, load
from cosmos_train.stream.batch import Batch, Sample
from cosmos_train.stream.collate import Placed, collate, collate_packed
from cosmos_train.stream.tokenizer import Tokenizer

Tiny = Callable[..., Recipe]
MakeSamples = Callable[..., list[Sample]]

SIZE = {"hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 2, "max_position_embeddings": 64}
FAMILIES: dict[str, dict[str, Any]] = {
    "opt": {"ffn_dim": 96, "word_embed_proj_dim": 48, "dropout": 0.0},
    "gpt_neox": {"intermediate_size": 96},
    "qwen3": {"intermediate_size": 96, "num_key_value_heads": 2, "head_dim": 16},
    "mixtral": {"intermediate_size": 96, "num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2},
}


@pytest.fixture(autouse=True)
def plain_attention() -> Iterator[None]:
    """Written out as two products, so that torch counts it on a CPU too."""
    with sdpa_kernel(SDPBackend.MATH):
        yield


def counted(call: Callable[[], Any]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def by_running(model: CosMo, recipe: Recipe, batch: Batch, words: Tokenizer) -> dict[str, int]:
    """Forward operations of each part, counted by running it."""
    language, tokens = model.language, batch.rows.tokens
    plain = build_lm(recipe.model.language, words)
    for lm in (plain, language.lm):  # torch does not count the grouped product of experts, but does one by one
        lm.config._experts_implementation = "eager"
    media = model.encode_media(batch.media.frames, batch.media.mask, batch.media.times)
    states = language.first_half(batch.pairs.tokens)
    vision = counted(lambda: model.vision(batch.media.frames))
    head = counted(lambda: plain.get_output_embeddings()(torch.zeros(*tokens.shape, language.width)))
    first, whole = counted(lambda: language.first_half(tokens)), counted(lambda: plain(input_ids=tokens))
    query = media.query[batch.pairs.clip]
    return {
        "vision": vision,
        "resampler": counted(lambda: model.encode_media(batch.media.frames, batch.media.mask, batch.media.times))
        - vision,
        "language, first half": first + counted(lambda: language.first_half(batch.pairs.tokens)),
        "language, second half": whole - first - head,
        "head": head,
        "cross-attention": counted(lambda: model(tokens, media.tokens)) - whole,
        "text query": counted(lambda: model.text_query(states, batch.pairs.mask)),
        "projections": counted(lambda: model.media_embedding(query))
        + counted(lambda: model.project_text(states[:, 0])),
    }


@pytest.mark.parametrize("family", FAMILIES)
def test_each_parts_forward_operations_are_torchs(
    family: str, tiny: Tiny, words: Tokenizer, make_samples: MakeSamples
) -> None:
    recipe = tiny(model__language__config={"model_type": family, **SIZE, **FAMILIES[family]})
    model, batch = build_cosmo(recipe, words), collate(make_samples(4), words, 64)
    found = CosMoFlopCount(model, recipe.objective).of(padded(batch, recipe.objective))
    assert {name: part.forward for name, part in found.items()} == by_running(model, recipe, batch, words)


FROZEN = {"model__vision__frozen": True, "model__language__trained": "none"}


@pytest.mark.parametrize("pairs", ["first", "every"])
@pytest.mark.parametrize(
    "settings", [{}, {"model__language__trained": "new_tokens"}, {"model__vision__frozen": True}, FROZEN]
)
def test_forward_and_backward_operations_of_a_step_are_torchs(
    settings: dict[str, Any], pairs: str, tiny: Tiny, words: Tokenizer, make_samples: MakeSamples
) -> None:
    recipe = tiny(objective__pairs=pairs, **settings)
    model, batch = build_cosmo(recipe, words), collate(make_samples(4), words, 64)
    parts = CosMoFlopCount(model, recipe.objective).of(padded(batch, recipe.objective)).values()
    outputs: list[Any] = []
    forward = counted(lambda: outputs.append(compute(model, batch, recipe.objective)))
    loss = outputs[0].language + outputs[0].media.sum() + outputs[0].text.sum()
    assert sum(part.forward for part in parts) == forward
    # A first product's input may want no gradient where a frozen part feeds it: a few in a hundred.
    assert sum(part.backward for part in parts) == pytest.approx(counted(loss.backward), rel=0.05 if settings else 0)


def test_useful_work_is_the_work_of_samples_alone(words: Tokenizer, make_samples: MakeSamples, tiny: Tiny) -> None:
    """Given samples in padded rows and the same ones packed, what is useful is the same; one alone has no padding."""
    samples = make_samples(3, clips=3)
    settings = tiny(objective__pairs="every").objective
    size = [collate([one], words, 64).num_tokens for one in samples]
    placed = [
        Placed(0, 0, size[0], samples[0]),
        Placed(0, size[0], size[1], samples[1]),
        Placed(1, 3, size[2], samples[2]),
    ]
    rows, packed = collate(samples, words, 64), collate_packed(placed, 2, words, 90)
    assert useful(rows, settings) == useful(packed, settings)
    alone = [useful(collate([one], words, 64), settings) for one in samples]
    assert useful(rows, settings).sight == sum(one.sight for one in alone)
    assert useful(rows, settings).token_pairs == sum(length * length for length in size)
    assert padded(rows, settings).tokens > useful(rows, settings).tokens
    one_frame = make_samples(1, frames=1)
    assert useful(collate(one_frame, words, 64), settings) == padded(collate(one_frame, words, 64), settings)


def test_a_full_size_model_costs_what_its_parameters_say(words: Tokenizer, make_samples: MakeSamples) -> None:
    """Given ViT-L/14, a frame costs its known 2 x 81 G (and the rest is per token twice the weights)."""
    recipe = load("cosmo_2b")
    model = CosMoFamily().plan(recipe)
    flops = CosMoFlopCount(model, recipe.objective)
    assert (flops.frame + flops.frame_attention) / 1e9 == pytest.approx(162.0, rel=0.01)
    layers = find_stack(model.language.lm).layers
    matrices = sum(p.numel() for layer in layers[:12] for p in layer.parameters() if p.ndim == 2)
    assert flops.first == 2 * matrices


def test_of_a_mixtures_experts_those_in_use_are_counted() -> None:
    recipe = load("cos_moe")
    dense, mixture = (
        CosMoFlopCount(CosMoFamily().plan(load("cosmo_8b")), recipe.objective),
        CosMoFlopCount(CosMoFamily().plan(recipe), recipe.objective),
    )
    assert 1.7 < mixture.first / dense.first < 1.9, "two experts of eight, with the same attention"


def test_a_tower_of_experts_costs_those_in_use_and_the_gates(tiny: Tiny, words: Tokenizer) -> None:
    recipe = tiny()
    dense = CosMoFlopCount(build_cosmo(recipe, words), recipe.objective)
    for top_k in (1, 2):
        experts = {"count": 4, "top_k": top_k, "places": ["vision"]}
        with_experts = tiny(model__experts=experts)
        sparse = CosMoFlopCount(build_cosmo(with_experts, words), recipe.objective)
        tokens, gates, networks = 17, 2 * 48 * 4, 2 * 2 * 48 * 4 * 48  # of a layer, of which there are two
        assert sparse.frame - dense.frame == 2 * tokens * (gates + (top_k - 1) * networks)


def test_other_towers_are_counted_as_they_run(tiny: Tiny, words: Tokenizer) -> None:
    config = {"layers": [1, 1, 1, 1], "width": 8, "head_width": 16}
    recipe = tiny(model__vision__config=config, data__image__size=64)
    model = build_cosmo(recipe, words)
    expected = counted(lambda: model.vision(torch.zeros(1, 3, 64, 64, dtype=torch.uint8)))
    assert CosMoFlopCount(model, recipe.objective).frame == expected
