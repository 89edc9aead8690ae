"""CLIP's towers and the resampler's parts against their definitions, written out."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cosmos_train.models.fusion import TextQuery
from cosmos_train.models.resampler import FrameTime, PerceiverAttention, Resampler
from cosmos_train.models.settings import ResamplerSettings
from cosmos_train.models.towers import Attention, Block, Mlp, TextTower, Transformer, VisionTower


def draw(module: nn.Module) -> nn.Module:
    """Weights that are all drawn: nothing is 0 or 1 by default."""
    torch.manual_seed(1)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.4)
    return module.double().eval()


def heads_of(attention: Attention, tokens: Tensor, part: int) -> Tensor:
    """(B, heads, L, width): queries, keys or values (0, 1, 2) of tokens."""
    width = tokens.shape[-1]
    here = slice(part * width, (part + 1) * width)
    found = tokens @ attention.in_proj_weight[here].T + attention.in_proj_bias[here]
    return torch.stack(found.chunk(attention.heads, -1), 1)


def test_attention_is_torchs() -> None:
    ours = draw(Attention(12, 3))
    theirs = nn.MultiheadAttention(12, 3, batch_first=True).double()
    theirs.load_state_dict(ours.state_dict())
    query, keys = torch.randn(2, 5, 12, dtype=torch.float64), torch.randn(2, 7, 12, dtype=torch.float64)
    mixed, weights = theirs(query, keys, keys)
    assert torch.allclose(ours(query, keys), mixed, atol=1e-12)
    assert torch.allclose(ours.weights(query, keys), weights, atol=1e-12)  # type: ignore[operator]
    assert torch.allclose(ours(query, query), theirs(query, query, query)[0], atol=1e-12)
    later = torch.ones(5, 5).triu(1).bool()
    causal = theirs(query, query, query, attn_mask=later)[0]
    assert torch.allclose(ours(query, query, True), causal, atol=1e-12)


def test_correlative_attention_is_to_similar_queries_and_keys() -> None:
    attention = draw(Attention(12, 3))
    assert isinstance(attention, Attention)
    tokens = torch.randn(2, 5, 12, dtype=torch.float64)
    q, k, v = (heads_of(attention, tokens, part) for part in range(3))
    alike = sum((one @ one.transpose(-1, -2) / 2).softmax(-1) for one in (q, k)) @ v  # the root of a head's width
    merged = torch.cat(alike.unbind(1), -1)
    assert torch.allclose(attention.correlative(tokens), attention.out_proj(merged), atol=1e-12)


def test_a_block_adds_attention_and_then_its_network() -> None:
    block = draw(Block(12, 3, 20, quick=True))
    tokens = torch.randn(2, 5, 12, dtype=torch.float64)
    for causal in (False, True):
        normed = block.ln_1(tokens)
        after = tokens + block.attn(normed, normed, causal)
        assert torch.allclose(block(tokens, causal), after + block.mlp(block.ln_2(after)), atol=1e-12)
    two = draw(Transformer(12, 2, 3, 20))
    assert torch.allclose(two(tokens, True), two.resblocks[1](two.resblocks[0](tokens, True), True), atol=1e-12)


@pytest.mark.parametrize("quick", [True, False])
def test_the_network_has_openais_or_the_exact_gelu(quick: bool) -> None:
    mlp = draw(Mlp(4, 6, quick))
    x = torch.randn(3, 4, dtype=torch.float64)
    inner = mlp.c_fc(x)
    wanted = inner * torch.sigmoid(1.702 * inner) if quick else inner * (1 + torch.erf(inner / math.sqrt(2))) / 2
    assert torch.allclose(mlp(x), mlp.c_proj(wanted), atol=1e-12)


@pytest.fixture
def tower() -> VisionTower:
    found = draw(VisionTower(8, 4, 12, 2, 4, 6, mlp_ratio=2.5, quick=True))
    assert isinstance(found, VisionTower)
    return found


def test_the_tower_has_its_sizes(tower: VisionTower) -> None:
    assert tower.positional_embedding.shape == (5, 12) and tower.proj.shape == (12, 6)
    block = tower.transformer.resblocks[0]
    assert isinstance(block, Block) and isinstance(block.mlp, Mlp)
    assert (block.attn.heads, block.mlp.c_fc.out_features, block.mlp.quick) == (3, 30, True)
    fresh = VisionTower(64, 4, 64, 1, 16, 32)
    for drawn in (fresh.class_embedding, fresh.positional_embedding, fresh.proj):
        assert float(drawn.detach().std()) == pytest.approx(1 / 8, rel=0.3)


def test_patches_are_read_row_by_row_after_the_class_token(tower: VisionTower) -> None:
    pixels = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    found = tower.embed(pixels)
    kernel = tower.conv1.weight.flatten(1)
    positions = tower.positional_embedding
    assert torch.allclose(found[:, 0], (tower.class_embedding + positions[0]).expand(2, -1))
    for number, (row, column) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1)), 1):
        patch = pixels[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].flatten(1)
        assert torch.allclose(found[:, number], patch @ kernel.T + positions[number], atol=1e-12)
    pooled, patches = tower(pixels)
    tokens = tower.ln_post(tower.transformer(tower.ln_pre(found)))
    assert torch.allclose(pooled, tokens[:, 0] @ tower.proj) and torch.allclose(patches, tokens[:, 1:])


@pytest.mark.parametrize("grid", [(1, 1), (3, 2), (4, 4), (2, 1)])
def test_other_grids_get_positions_resized_as_dino_does(grid: tuple[int, int], tower: VisionTower) -> None:
    pixels = torch.zeros(1, 3, 4 * grid[0], 4 * grid[1], dtype=torch.float64)
    found = tower.embed(pixels)[0]
    learned = tower.positional_embedding[1:].float().T.reshape(1, 12, 2, 2)
    factors = ((grid[0] + 0.1) / 2, (grid[1] + 0.1) / 2)
    resized = F.interpolate(learned, scale_factor=factors, mode="bicubic")[0].flatten(1).T
    assert found.shape == (1 + grid[0] * grid[1], 12)
    assert torch.allclose(found[1:], resized.double(), atol=1e-6)
    assert torch.allclose(found[0], tower.class_embedding + tower.positional_embedding[0])


def test_dense_features_are_the_patches_in_the_space_of_the_pooled_one(tower: VisionTower) -> None:
    pixels = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert torch.allclose(tower.dense(pixels, correlative=False), tower(pixels)[1] @ tower.proj, atol=1e-12)
    first, last = tower.transformer.resblocks
    assert isinstance(last, Block)
    tokens = first(tower.ln_pre(tower.embed(pixels)))
    tokens = tokens + last.attn.correlative(last.ln_1(tokens))
    tokens = tokens + last.mlp(last.ln_2(tokens))
    assert torch.allclose(tower.dense(pixels), tower.ln_post(tokens)[:, 1:] @ tower.proj, atol=1e-12)


def test_a_text_is_read_at_its_first_end_without_what_follows() -> None:
    tower = draw(TextTower(8, 20, 12, 2, 3, 6))
    assert isinstance(tower, TextTower)
    tokens = torch.tensor([[1, 5, 9, 0, 0], [1, 9, 6, 9, 3]])
    pooled, states = tower.read(tokens, 9)
    embedded = tower.token_embedding(tokens) + tower.positional_embedding[:5]
    assert torch.allclose(states, tower.ln_final(tower.transformer(embedded, True)))
    assert torch.allclose(pooled, torch.stack([states[0, 2], states[1, 1]]) @ tower.text_projection)
    tokens[0, 3:] = 7
    assert torch.allclose(tower.read(tokens, 9)[0], pooled)


def test_the_text_tower_begins_as_openais() -> None:
    torch.manual_seed(0)
    tower = TextTower(50, 200, 64, 8, 4, 48)
    block = tower.transformer.resblocks[0]
    assert isinstance(block, Block) and isinstance(block.mlp, Mlp)
    assert block.mlp.c_fc.out_features == 256 and block.attn.heads == 4
    deviations = {
        tower.token_embedding.weight: 0.02, tower.positional_embedding: 0.01, tower.text_projection: 1 / 8,
        block.attn.in_proj_weight: 1 / 8, block.attn.out_proj.weight: 1 / 32, block.mlp.c_proj.weight: 1 / 32,
        block.mlp.c_fc.weight: 128**-0.5,
    }  # fmt: skip
    for weight, deviation in deviations.items():
        assert float(weight.detach().std()) == pytest.approx(deviation, rel=0.1)
    assert not block.attn.out_proj.bias.any() and not block.attn.in_proj_bias.any()


def test_latents_attend_to_valid_media_and_always_to_themselves() -> None:
    attention = draw(PerceiverAttention(8, 2, 3))
    media, latents = torch.randn(2, 4, 8, dtype=torch.float64), torch.randn(2, 3, 8, dtype=torch.float64)
    mask = torch.tensor([[True, False, True, False], [False] * 4])
    found = attention(media, latents, mask)
    for item in range(2):
        normed = attention.norm_latents(latents[item])
        keys, values = attention.to_kv(torch.cat([attention.norm_media(media[item][mask[item]]), normed])).chunk(2, -1)
        queries = attention.to_q(normed)
        heads = [
            ((queries[:, part] @ keys[:, part].T) / math.sqrt(3)).softmax(-1) @ values[:, part]
            for part in (slice(0, 3), slice(3, 6))
        ]
        assert torch.allclose(found[item], attention.to_out(torch.cat(heads, -1)), atol=1e-12)


def test_the_time_of_a_frame_is_eleven_sines_and_cosines() -> None:
    time = draw(FrameTime(5))
    assert time.periods.tolist() == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512]
    times = torch.tensor([[0.0, 1.3]], dtype=torch.float64)
    angles = torch.stack([2 * math.pi * times / period for period in time.periods.tolist()], -1)
    waves = torch.cat([angles.sin(), angles.cos()], -1)
    assert torch.allclose(time(times), time.project(waves), atol=1e-12)
    assert "periods" not in time.state_dict()


def test_layers_of_the_resampler_and_the_text_query_add_their_results() -> None:
    resampler = draw(Resampler(8, ResamplerSettings(depth=2, heads=2, head_width=4, latents=3)))
    patches, times = torch.randn(2, 3, 4, 8, dtype=torch.float64), torch.rand(2, 3, dtype=torch.float64)
    mask = torch.tensor([[True, True, False], [True] * 3])
    media = (patches + resampler.frame_time(times)[:, :, None]).flatten(1, 2)
    latents = resampler.latents.expand(2, -1, -1)
    for layer in resampler.layers:
        latents = latents + layer.attention(media, latents, mask.repeat_interleave(4, 1))
        latents = latents + layer.feed_forward(latents)
    assert torch.allclose(resampler(patches, times, mask), resampler.norm(latents), atol=1e-12)
    assert latents.shape == (2, 4, 8)
    assert resampler.layers[0].feed_forward[1].out_features == 32
    query = draw(TextQuery(8, 2, 4))
    states, valid = torch.randn(2, 5, 8, dtype=torch.float64), torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    for given in (valid, None):
        pooled = query.query.expand(2, 1, 8)
        pooled = pooled + query.attention(states, pooled, given)
        pooled = pooled + query.feed_forward(pooled)
        assert torch.allclose(query(states, given), query.norm(pooled)[:, 0], atol=1e-12)
    assert query.feed_forward[1].out_features == 32
