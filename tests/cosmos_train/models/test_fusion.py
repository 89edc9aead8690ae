"""Gated cross-attention: who sees which media, and that shut gates change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from cosmos_train.models.fusion import GatedCrossAttentionBlock, MaskedCrossAttention, TextQuery, View, media_mask, view
from cosmos_train.models.resampler import Resampler
from cosmos_train.models.settings import FusionSettings, ModelCompat, ResamplerSettings
from golden import config_of, count

SMALL = {"unimodal_depth": 1, "heads": 2, "head_width": 8}


COMPAT = ModelCompat(attention_scale=True, average_before_media=True)


def attention(attend: str = "immediate", compat: ModelCompat = ModelCompat()) -> MaskedCrossAttention:  # noqa: B008
    torch.manual_seed(0)
    return MaskedCrossAttention(12, 10, FusionSettings.model_validate(SMALL | {"attend": attend}), compat)


def plain(media: Tensor, text_time: Tensor, attend: str = "immediate") -> View:
    """What rows of one sample each see; text_time (B, L): media before or at each token."""
    return view(media, torch.zeros_like(text_time), text_time, attend)


def seen(attend: str, text_time: list[int], clips: int, media_from: list[int] | None = None) -> list[set[int]]:
    """For each token the media (1-based) whose change changes its result."""
    block = attention(attend)
    torch.manual_seed(1)
    text, media = torch.randn(1, len(text_time), 12), torch.randn(1, clips, 3, 10)
    first, upto = torch.tensor([media_from or [0] * len(text_time)]), torch.tensor([text_time])
    before = block(text, view(media, first, upto, attend))
    found: list[set[int]] = [set() for _ in text_time]
    for clip in range(clips):
        changed = media.clone()
        changed[:, clip] += 1.0
        moved = (block(text, view(changed, first, upto, attend)) - before).abs().amax(-1)[0] > 1e-7
        for token, did in enumerate(moved.tolist()):
            if did:
                found[token].add(clip + 1)
    return found


def test_text_sees_only_the_media_just_before_it() -> None:
    assert seen("immediate", [0, 1, 1, 2, 3], 3) == [set(), {1}, {1}, {2}, {3}]


def test_or_all_media_before_it() -> None:
    assert seen("all", [0, 1, 1, 2, 3], 3) == [set(), {1}, {1}, {1, 2}, {1, 2, 3}]


@pytest.mark.parametrize("attend", ["immediate", "all"])
def test_in_a_packed_row_no_text_sees_the_media_of_the_sample_before(attend: str) -> None:
    found = seen(attend, [1, 2, 2, 3, 4], 4, media_from=[0, 0, 2, 2, 2])
    before = {"immediate": [{1}, {2}], "all": [{1}, {1, 2}]}[attend]
    after = {"immediate": [set(), {3}, {4}], "all": [set(), {3}, {3, 4}]}[attend]
    assert found == before + after


@pytest.mark.parametrize("attend", ["immediate", "all"])
def test_text_before_any_media_gets_exactly_zero(attend: str) -> None:
    media, upto = torch.randn(1, 2, 3, 10), torch.tensor([[0, 0, 1]])
    result = attention(attend)(torch.randn(1, 3, 12), plain(media, upto, attend))
    assert (result[:, :2] == 0).all()
    assert (result[:, 2] != 0).any()


def test_text_without_any_media_gets_zero_and_finite_gradients() -> None:
    text = torch.randn(2, 3, 12, requires_grad=True)
    block = attention()
    result = block(text, plain(torch.randn(2, 0, 3, 10), torch.zeros(2, 3, dtype=torch.long)))
    result.sum().backward()
    assert (result == 0).all()
    assert all(torch.isfinite(p.grad).all() for p in [text, *block.parameters()] if p.grad is not None)


def test_as_released_text_before_media_sees_the_average_of_all() -> None:
    media, upto = torch.randn(1, 2, 3, 10), torch.tensor([[0, 1]])
    block = attention("all", COMPAT)
    result = block(torch.randn(1, 2, 12), plain(media, upto, "all"))
    mean = block.to_out(block.to_kv(media.flatten(1, 2)).chunk(2, -1)[1].mean(1))
    assert torch.allclose(result[:, 0], mean, atol=1e-6)


def test_the_mask_counts_media_from_zero_along_the_row() -> None:
    none, upto = torch.zeros(1, 3, dtype=torch.long), torch.tensor([[0, 1, 2]])
    assert media_mask(none, upto, 2, "immediate").int().tolist() == [[[0, 0], [1, 0], [0, 1]]]
    assert media_mask(none, upto, 2, "all").int().tolist() == [[[0, 0], [1, 0], [1, 1]]]
    assert media_mask(none + 1, upto, 2, "all").int().tolist() == [[[0, 0], [0, 0], [0, 1]]]


def test_shut_gates_change_nothing_and_open_ones_do() -> None:
    block = GatedCrossAttentionBlock(12, 10, FusionSettings.model_validate(SMALL), ModelCompat())
    text, media, times = torch.randn(1, 3, 12), torch.randn(1, 2, 3, 10), torch.tensor([[1, 1, 2]])
    assert torch.equal(block(text, plain(media, times)), text)
    torch.nn.init.constant_(block.attention_gate, 0.5)
    assert not torch.equal(block(text, plain(media, times)), text)


def test_each_gate_lets_its_own_part_through_by_its_tanh() -> None:
    torch.manual_seed(0)
    block = GatedCrossAttentionBlock(12, 10, FusionSettings.model_validate(SMALL), ModelCompat())
    text, seen = torch.randn(1, 3, 12), plain(torch.randn(1, 2, 3, 10), torch.tensor([[0, 1, 2]]))
    torch.nn.init.constant_(block.attention_gate, 0.5)
    torch.nn.init.constant_(block.feed_forward_gate, -0.3)
    attended = text + block.attention(text, seen) * torch.tensor(0.5).tanh()
    wanted = attended + block.feed_forward(attended) * torch.tensor(-0.3).tanh()
    assert torch.allclose(block(text, seen), wanted, atol=1e-6)


@pytest.mark.parametrize("compat", [False, True])
def test_attention_divides_by_the_narrow_heads_width_or_as_released_by_the_wide_ones(compat: bool) -> None:
    block = attention("all", ModelCompat(attention_scale=compat))
    assert block.scale == pytest.approx(8**-0.5 if compat else 4**-0.5)  # a bottleneck of 2 halves heads of 8
    assert not block.averages_before_media
    assert attention("all", ModelCompat(average_before_media=True)).averages_before_media
    assert not attention("immediate", ModelCompat(average_before_media=True)).averages_before_media


def test_the_bottleneck_narrows_attention_and_feed_forward() -> None:
    wide, narrow = (
        sum(
            p.numel()
            for p in GatedCrossAttentionBlock(
                12, 10, FusionSettings.model_validate(SMALL | {"bottleneck": r}), ModelCompat()
            ).parameters()
        )
        for r in (1, 2)
    )
    assert wide - narrow == (2 * 12 * 8 + 2 * 8 * 10) + 2 * 12 * 24


def test_padding_does_not_change_the_text_embedding() -> None:
    query = TextQuery(12, 2, 8)
    states = torch.randn(2, 5, 12)
    mask = torch.tensor([[True] * 3 + [False] * 2, [True] * 5])
    before = query(states, mask)
    states[0, 3:] = 100.0
    assert torch.allclose(query(states, mask), before)
    assert torch.allclose(query(states[:1, :3], mask[:1, :3]), before[:1], atol=1e-6)


def test_frames_that_are_not_there_do_not_change_the_latents() -> None:
    resampler = Resampler(8, ResamplerSettings(depth=2, heads=2, head_width=4, latents=3))
    patches, times = torch.randn(1, 3, 4, 8), torch.tensor([[0.0, 1.5, 99.0]])
    two = resampler(patches[:, :2], times[:, :2])
    three = resampler(patches, times, torch.tensor([[True, True, False]]))
    assert torch.allclose(two, three, atol=1e-6)


def test_the_resampler_knows_when_frames_were_shown() -> None:
    patches = torch.randn(1, 2, 4, 8)
    swapped = patches.flip(1)
    times = torch.tensor([[0.0, 1.0]])
    for frame_time, differs in ((True, True), (False, False)):
        resampler = Resampler(8, ResamplerSettings(depth=1, heads=2, head_width=4, latents=3, frame_time=frame_time))
        equal = torch.allclose(resampler(patches, times), resampler(swapped, times), atol=1e-5)
        assert equal != differs


def released(shared_data: Path) -> dict[str, Any]:
    """Inputs, weights and outputs of the released code, float64."""
    with np.load(shared_data / "golden" / "cosmo_blocks.npz") as arrays:
        return {name: arrays[name] if name == "config" else torch.from_numpy(arrays[name]) for name in arrays}


def load(module: torch.nn.Module, weights: dict[str, Tensor], names: dict[str, str]) -> None:
    """Loads weights by their released names; the longest matching prefix is renamed."""
    state = {}
    for name, value in weights.items():
        old = max((prefix for prefix in names if name.startswith(prefix)), key=len)
        state[names[old] + name.removeprefix(old)] = value
    module.double().load_state_dict(state)


def below(arrays: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)}


def test_the_resampler_equals_the_released_one(shared_data: Path) -> None:
    whole = released(shared_data)
    arrays, about = below(whole, "resampler/"), config_of(whole).get("resampler", {})
    latents, width = arrays["weight/latents"].shape
    depth, heads = count(arrays, "weight/layers."), about.get("heads", 4)
    head_width = len(arrays["weight/layers.0.0.to_q.weight"]) // heads
    settings = ResamplerSettings(
        depth=depth, heads=heads, head_width=head_width, latents=latents - 1, frame_time=False
    )  # fmt: skip
    resampler = Resampler(width, settings)
    names = {"latents": "latents", "norm": "norm"}
    names |= {f"layers.{i}.0.": f"layers.{i}.attention." for i in range(depth)}
    names |= {f"layers.{i}.1.": f"layers.{i}.feed_forward." for i in range(depth)}
    load(resampler, below(arrays, "weight/"), names)
    found = resampler(arrays["input"].flatten(0, 1)).unflatten(0, arrays["input"].shape[:2])
    assert (found - arrays["output"]).abs().max() < 1e-9


@pytest.mark.parametrize(("name", "attend", "bottleneck"), [("immediate_r2", "immediate", 2), ("all_r1", "all", 1)])
def test_the_block_equals_the_released_one_in_compat_mode(
    shared_data: Path, name: str, attend: str, bottleneck: int
) -> None:
    whole = released(shared_data)
    arrays, about = below(whole, f"block_{name}/"), config_of(whole).get(f"block_{name}", {})
    heads, bottleneck = about.get("heads", 4), about.get("bottleneck", bottleneck)
    narrowed, width = arrays["weight/attn.to_q.weight"].shape
    settings = FusionSettings.model_validate(
        {
            "unimodal_depth": 1, "heads": heads, "head_width": narrowed * bottleneck // heads,
            "bottleneck": bottleneck, "attend": attend,
        }
    )  # fmt: skip
    block = GatedCrossAttentionBlock(width, arrays["media"].shape[-1], settings, COMPAT)
    names = {
        "attn_gate": "attention_gate",
        "ff_gate": "feed_forward_gate",
        "attn.": "attention.",
        "ff.": "feed_forward.",
    }
    load(block, below(arrays, "weight/"), names)
    text_time = arrays["media_locations"].long().cumsum(-1)
    found = block(arrays["text"], plain(arrays["media"], text_time, attend))
    assert (found - arrays["output"]).abs().max() < 1e-9
