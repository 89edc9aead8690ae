"""Pictures for evaluation: torchvision's rounding, exact decodes, and the ways that a protocol names."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from cosmos_train.evaluate import preprocess
from cosmos_train.evaluate.protocol import Protocol, load
from cosmos_train.evaluate.tasks import TASKS
from cosmos_train.models.backends import prepare
from cosmos_train.stream.decode import decode, decode_exactly
from cosmos_train.stream.settings import ImageSettings

IMAGE = ImageSettings(size=48)
SIZES = [(91, 60), (60, 91), (48, 48), (97, 48), (48, 101), (200, 33), (31, 30)]


def noise(width: int, height: int) -> np.ndarray:
    return np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("way", ["open_clip", "cosmo"])
def test_it_is_torchvisions_to_the_bit(way: preprocess.Name, width: int, height: int) -> None:
    prepare()
    from torchvision import transforms

    frame = noise(width, height)
    shorter, filter = {
        "open_clip": (48, transforms.InterpolationMode.BICUBIC),
        "cosmo": (round(48 * 256 / 224), transforms.InterpolationMode.BILINEAR),
    }[way]
    theirs = transforms.Compose([transforms.Resize(shorter, filter), transforms.CenterCrop(48)])(Image.fromarray(frame))
    chosen = preprocess.choose(way, IMAGE, preprocess.squares(IMAGE))
    ours = chosen.shape([frame])[0].transpose(1, 2, 0)
    assert np.array_equal(ours, np.asarray(theirs))


@pytest.mark.parametrize(("mode", "settings"), [
    ("RGB", {"quality": 90}), ("RGB", {"quality": 75, "progressive": True}), ("L", {}), ("CMYK", {}),
    ("RGB", {"subsampling": 0}), ("RGB", {"format": "PNG"}), ("P", {"format": "PNG"}), ("RGBA", {"format": "WEBP"}),
])  # fmt: skip
def test_decodes_are_pils(mode: str, settings: dict[str, object]) -> None:
    buffer = io.BytesIO()
    picture = Image.fromarray(noise(400, 300)).convert(mode)
    picture.save(buffer, **{"format": "JPEG", **settings})  # type: ignore[arg-type]
    exact = np.asarray(Image.open(io.BytesIO(buffer.getvalue())).convert("RGB"))
    assert np.array_equal(decode_exactly(buffer.getvalue()), exact)
    with pytest.raises(ValueError, match="picture"):
        decode_exactly(buffer.getvalue()[:60])


def test_the_fast_decode_of_training_is_smaller_and_its_own_choice() -> None:
    buffer = io.BytesIO()
    Image.fromarray(noise(400, 300)).save(buffer, "JPEG")
    data = buffer.getvalue()
    own = preprocess.open_clip(IMAGE)
    assert own.decode(data).shape == (300, 400, 3)
    trained = preprocess.choose("training", IMAGE, own)
    assert np.array_equal(trained.decode(data), decode(data, IMAGE))
    assert trained.decode(data).shape == (75, 100, 3)
    assert preprocess.choose("own", IMAGE, own) is own


def test_the_protocols_of_the_papers() -> None:
    assert Protocol().pictures == "own"
    cosmo = load("cosmo", [])
    assert (cosmo.pictures, cosmo.frames) == ("cosmo", 8)
    assert load("cosmo", ["pictures=training", "frames=3"]).frames == 3
    cosmos = load("cosmos", [])
    assert cosmos.split_of(TASKS["flickr30k-retrieval"]) == "val"  # 1,014 pictures
    assert cosmos.split_of(TASKS["coco-retrieval"]) == "val2017"
    assert cosmos.split_of(TASKS["msvd-qa"]) == "test"
    assert load("cosmos", ["split=train"]).split_of(TASKS["flickr30k-retrieval"]) == "train"
    assert Protocol().split_of(TASKS["flickr30k-retrieval"]) == "test"
