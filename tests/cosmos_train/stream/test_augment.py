"""CosMo's released augmentation: torchvision's transforms, with the sample's random numbers."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from cosmos_train.evaluate.preprocess import as_trained
from cosmos_train.models.backends import prepare
from cosmos_train.stream.augment import released
from cosmos_train.stream.decode import crop, decode
from cosmos_train.stream.settings import ImageSettings

COMPAT = ImageSettings(size=32, paper_compat=True)


def noise(seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((80, 60)))


def test_it_is_torchvisions_and_leaves_torchs_random_state() -> None:
    prepare()
    from torchvision import transforms

    theirs = transforms.Compose(
        [
            transforms.RandomResizedCrop(32),
            transforms.RandomHorizontalFlip(),
            transforms.AutoAugment(transforms.AutoAugmentPolicy.IMAGENET),
        ]
    )
    torch.manual_seed(3)
    before = torch.get_rng_state()
    for seed in range(20):
        found = crop([noise(seed)], COMPAT, np.random.default_rng(seed))
        assert torch.equal(torch.get_rng_state(), before)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng(seed).integers(2**63)))
            wanted = np.asarray(theirs(Image.fromarray(noise(seed))))
        assert np.array_equal(found[0].transpose(1, 2, 0), wanted)


def test_frames_of_a_clip_are_changed_alike_and_samples_differently() -> None:
    frames = [noise()] * 3
    found = released(frames, 32, np.random.default_rng(1))
    assert found.shape == (3, 3, 32, 32) and found.dtype == np.uint8
    assert np.array_equal(found[0], found[1]) and np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], released(frames, 32, np.random.default_rng(2))[0])


def test_crops_keep_8_to_100_percent_of_the_area() -> None:
    """On a ramp, the range of a crop tells its share."""
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[None, :, None], 200, 0).repeat(3, 2)
    prepare()
    from torchvision.transforms import RandomResizedCrop

    torch.manual_seed(0)
    shares = []
    for _ in range(300):
        _, _, height, width = RandomResizedCrop.get_params(Image.fromarray(ramp), (0.08, 1.0), (3 / 4, 4 / 3))
        shares.append(height * width / ramp.shape[0] / ramp.shape[1])
    assert 0.07 < min(shares) < 0.12 and 0.9 < max(shares) <= 1.0


def test_the_switch_decodes_exactly_and_does_not_touch_evaluation_or_old_recipes() -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise()).resize((640, 480)).save(buffer, "JPEG")
    assert decode(buffer.getvalue(), COMPAT).shape == (480, 640, 3)
    assert decode(buffer.getvalue(), ImageSettings(size=32)).shape == (60, 80, 3)
    frame = noise()
    plain = crop([frame], ImageSettings(size=32), None)
    assert np.array_equal(as_trained(COMPAT).shape([frame]), plain)
    assert "paper_compat" not in ImageSettings().model_dump()
    assert ImageSettings.model_validate(COMPAT.model_dump()).paper_compat


@pytest.mark.parametrize(("world", "passes"), [(128, (12288, 4)), (256, (12288, 4)), (8, (768, 64)), (24, (1536, 32))])
def test_a_step_of_the_papers_size_on_any_number_of_processes(world: int, passes: tuple[int, int]) -> None:
    from cosmos_train.recipe import load
    from cosmos_train.stream.settings import rows_of

    recipe = load("cosmo_2b")
    assert recipe.train.passes(world) == passes
    size, count = passes
    assert size * count == 12288 * 4
    assert max(rows_of(recipe.data, size, world)) <= 2 * 96 * world
    assert load("cos_moe").train.passes(8) == (256, 192)
    steps = 20 * 130_000_000 / (12288 * 3.5)
    assert recipe.train.steps == pytest.approx(steps, abs=1)
    assert recipe.optimiser.warmup_steps == round(0.03 * recipe.train.steps)
