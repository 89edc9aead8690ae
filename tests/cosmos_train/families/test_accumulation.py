"""The random state that a batch's second pass draws from again."""

from __future__ import annotations

import pytest
import torch

from cosmos_train.families.accumulation import RandomState


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_a_restored_state_draws_the_same_numbers(kind: str) -> None:
    if kind == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU")
    device = torch.device(kind)
    state = RandomState.now(device)
    first = torch.rand(4), torch.rand(4, device=device)
    state.restore()
    again = torch.rand(4), torch.rand(4, device=device)
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert (state.cuda is None) == (kind == "cpu")
