"""Tone mapping against its formulas, written out for one pixel at a time, and published values of both curves."""

from __future__ import annotations

import math
from types import SimpleNamespace

import av
import numpy as np
import pytest

from interlink.media import tone
from interlink.media.tone import Tone, tone_of

KINDS = ("pq", "hlg", "bt2020")


def linear_of(kind: str, code: float) -> float:
    """Light of a signal 0..1: in units of 100 cd/m2; of HLG the light of the scene."""
    if kind == "pq":
        power = code ** (1 / 78.84375)
        return 100 * (max(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    if kind == "hlg":
        return code * code / 3 if code <= 0.5 else (math.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return code**2.4  # type: ignore[no-any-return]


def peak_of(kind: str, picture: np.ndarray) -> float:
    """The largest value below which 99.9 % of the pixels are, of their brightest colours in BT.709."""
    brightest = sorted(max(in_709(kind, pixel)) for pixel in picture.reshape(-1, 3))
    return brightest[int(len(brightest) * 0.999)]


def in_709(kind: str, pixel: np.ndarray) -> list[float]:
    light = [linear_of(kind, int(code) / 65535) for code in pixel]
    if kind == "hlg":
        luminance = 0.2627 * light[0] + 0.6780 * light[1] + 0.0593 * light[2]
        light = [one * luminance**0.2 * 10 for one in light]
    rows = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
    light = [sum(a * b for a, b in zip(row, light, strict=True)) for row in rows]
    if min(light) < 0:
        grey = max(0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2], 0)
        share = grey / (grey - min(light))
        light = [grey + share * (one - grey) for one in light]
    return light


def expected(kind: str, picture: np.ndarray) -> np.ndarray:
    peak = peak_of(kind, picture)
    found = []
    for pixel in picture.reshape(-1, 3):
        light = in_709(kind, pixel)
        if kind != "bt2020":
            white = min(max(peak, 1.0), 2.03)
            light = [one / white for one in light]
            top, most = max(light), peak / white
            if most > 1 and top > 0.75:
                above, least = (top - 0.75) / 0.25, (most - 0.75) / 0.25
                bent = 0.75 + 0.25 * above * (1 + above / least**2) / (1 + above)
                light = [one * bent / top for one in light]
        found.append([255 * min(max(one, 0.0), 1.0) ** (1 / 2.4) for one in light])
    return np.array(found).reshape(picture.shape)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("brightest", [0.35, 0.55, 0.62, 0.8, 1.0])
def test_a_picture_is_mapped_by_the_formulas(kind: str, brightest: float) -> None:
    random = np.random.default_rng(round(brightest * 100))
    picture = (random.random((20, 60, 3)) ** 0.7 * brightest * 65535).astype(np.uint16)
    picture[0, 0] = 0
    found = Tone(kind).mapped(picture)
    assert found.dtype == np.uint8 and found.shape == picture.shape
    wanted = expected(kind, picture)
    assert np.abs(found - wanted).max() < 1.3  # a code of the table, at the darkest
    assert np.abs(found - wanted).mean() < 0.35


@pytest.mark.parametrize(
    ("kind", "code", "light"),
    [
        ("pq", 0.5081, 1.0),  # 100 cd/m2
        ("pq", 0.5807, 2.03),  # reference white, BT.2408
        ("pq", 0.7518, 10.0),
        ("pq", 1.0, 100.0),
        ("pq", 0.0, 0.0),
        ("hlg", 0.5, 1 / 12),
        ("hlg", 0.75, 0.2650),
        ("hlg", 1.0, 1.0),
        ("bt2020", 0.5, 0.18946),
        ("bt2020", 1.0, 1.0),
    ],
)
def test_curves_have_their_published_values(kind: str, code: float, light: float) -> None:
    assert tone._linear(kind)[round(code * 65535)] == pytest.approx(light, rel=2e-3, abs=1e-6)


def test_greys_stay_grey_and_white_is_what_the_picture_uses_as_white() -> None:
    for nits, code in ((100, 0.50808), (203, 0.58069)):
        flat = np.full((4, 4, 3), round(code * 65535), np.uint16)
        assert np.abs(Tone("pq").mapped(flat).astype(int) - 255).max() <= 1, nits
    dim = np.full((4, 4, 3), round(0.35 * 65535), np.uint16)  # below 100 cd/m2 nothing is brightened
    assert Tone("pq").mapped(dim)[0, 0].tolist() == pytest.approx([math.pow(linear_of("pq", 0.35), 1 / 2.4) * 255] * 3, abs=1)  # fmt: skip  # noqa: E501


@pytest.mark.parametrize(
    ("transfer", "primaries", "name"),
    [(16, 9, "pq"), (16, 1, "pq"), (18, 9, "hlg"), (14, 9, "bt2020"), (1, 9, "bt2020"), (1, 1, None), (2, 2, None)],
)
def test_a_frame_says_what_it_needs(transfer: int, primaries: int, name: str | None) -> None:
    found = tone_of(SimpleNamespace(color_trc=transfer, color_primaries=primaries))
    assert (None if found is None else found.name) == name
    assert found is tone_of(SimpleNamespace(color_trc=transfer, color_primaries=primaries))


@pytest.mark.parametrize("width", [8, 7])
def test_a_frame_is_shown_at_its_size_and_without_a_matrix_as_bt2020(width: int) -> None:
    for colorspace in (9, 2):
        frame = av.VideoFrame(8, 6, "yuv444p10le")
        for plane, value in zip(frame.planes, (300, 500, 700), strict=True):
            np.frombuffer(plane, np.uint16)[:] = value
        frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = 14, 9, colorspace, 1
        shown = Tone("bt2020").shown(frame, width, 6, None)
        assert (shown.width, shown.height, shown.format.name) == (width, 6, "rgb24")
        pixels = shown.to_ndarray()
        luma, blue, red = (300 - 64) / 876, (500 - 512) / 896 * 1.8814, (700 - 512) / 896 * 1.4746
        green = luma - (0.2627 * red + 0.0593 * blue) / 0.6780
        codes = np.array([luma + red, green, luma + blue])
        wanted = expected("bt2020", np.rint(codes * 65535).astype(np.uint16).reshape(1, 1, 3))[0, 0]
        assert np.abs(pixels.astype(float) - wanted).max() < 2.5


@pytest.mark.parametrize("width", [8, 7, 4])
def test_a_frame_is_shown_from_edge_to_edge(width: int) -> None:
    frame = av.VideoFrame(8, 6, "yuv444p10le")
    for plane, value in zip(frame.planes, (0, 512, 512), strict=True):
        lines = np.frombuffer(plane, np.uint16).reshape(6, -1)
        lines[:] = value
        if not value:
            lines[:, :8] = np.arange(100, 900, 100)
    frame.color_trc, frame.color_primaries, frame.colorspace, frame.color_range = 14, 9, 9, 1
    row = Tone("bt2020").shown(frame, width, 6, None).to_ndarray()[3, :, 0].astype(int)
    assert row.shape == (width,) and (np.diff(row) > 0).all()
    first, last = ((value - 64) / 876 * 255 for value in (100, 800))
    room = 0 if width == 8 else 130 / width  # the edges are mixed with their neighbours where the frame is scaled
    assert first - 2 <= row[0] <= first + room + 2 and last - 2 * room - 2 <= row[-1] <= last + 2
