"""HDR and wide-gamut pictures as ordinary ones: PQ and HLG are tone-mapped, BT.2020 colours become BT.709.

The result is shown at 100 cd/m² with a gamma of 2.4 (BT.1886). White is what the picture uses as such: the brightest
part of the picture, at least 100 and at most 203 cd/m² (BT.2408's reference white). Brighter parts are compressed, all
three colours by the same factor, so that the hue stays. Colours outside BT.709 are moved towards grey of the same
luminance. Costs 0.3 µs per pixel of the scaled-down picture.
Formulas: SMPTE ST 2084 (PQ), ITU-R BT.2100-2 (HLG and its system gamma), ITU-R BT.2087 (colours).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Linear = NDArray[np.float32]

TRANSFERS = {16: "pq", 18: "hlg"}  # AVColorTransferCharacteristic
BT2020 = 9  # of AVColorPrimaries and AVColorSpace
UNSPECIFIED = 2
SHOWN = 100.0  # cd/m² of white in the result
REFERENCE = 203.0  # cd/m² of white in HDR
HLG_PEAK = 1000.0  # cd/m² of the display that HLG's system gamma of 1.2 belongs to
GAMMA = 2.4
STEPS = 8191  # of a table of codes by the root of linear light
KNEE = 0.75  # share of white above which bright parts are compressed
PEAK_SHARE = 0.999  # share of pixels below what counts as the picture's peak

# Linear BT.2020 to linear BT.709, rows = outputs (BT.2087).
TO_BT709 = ((1.6605, -0.5876, -0.0728), (-0.1246, 1.1329, -0.0083), (-0.0182, -0.1006, 1.1187))
LUMA_2020 = (0.2627, 0.6780, 0.0593)
LUMA_709 = (0.2126, 0.7152, 0.0722)


class Tone:
    """Tone mapping of one kind of picture. name: pq | hlg | bt2020."""

    def __init__(self, name: str) -> None:
        self.name = name

    def shown(self, frame: Any, width: int, height: int, interpolation: Any) -> Any:
        """A decoded frame, scaled down, as an ordinary one in rgb24."""
        import numpy as np
        from av import VideoFrame

        matrix = BT2020 if int(frame.colorspace) == UNSPECIFIED else None
        # One step: libav converts pictures of 10 bits with an odd width wrongly if they have that size already.
        rgb = frame.reformat(
            width + width % 2, height, "rgb48le", src_colorspace=matrix, interpolation=interpolation, threads=1
        ).to_ndarray()[:, :width]
        return VideoFrame.from_ndarray(np.ascontiguousarray(self.mapped(rgb)), format="rgb24")

    def mapped(self, rgb: NDArray[np.uint16]) -> NDArray[np.uint8]:
        """(H, W, 3) codes of 16 bits to (H, W, 3) uint8."""
        import numpy as np

        linear = _linear(self.name)[rgb]  # 1 = SHOWN
        if self.name == "hlg":
            luminance = np.maximum(linear @ np.array(LUMA_2020, np.float32), 0)
            linear = linear * (luminance ** np.float32(0.2) * np.float32(HLG_PEAK / SHOWN))[:, :, None]
        linear = _inside(linear @ np.array(TO_BT709, np.float32).T)
        if self.name != "bt2020":
            linear = _compressed(linear)
        return _coded()[(np.sqrt(np.clip(linear, 0, 1)) * np.float32(STEPS) + np.float32(0.5)).astype(np.uint16)]


def tone_of(frame: Any) -> Tone | None:
    """The tone mapping that a decoded frame needs; None for ordinary pictures."""
    name = TRANSFERS.get(int(frame.color_trc)) or ("bt2020" if int(frame.color_primaries) == BT2020 else "")
    return _tone(name) if name else None


@lru_cache(maxsize=1)
def _coded() -> NDArray[np.uint8]:
    """The code of 8 bits of a linear value v, at sqrt(v) * STEPS."""
    import numpy as np

    return np.rint((np.arange(STEPS + 1) / STEPS) ** (2 / GAMMA) * 255).astype(np.uint8)


@lru_cache(maxsize=3)
def _tone(name: str) -> Tone:
    return Tone(name)


@lru_cache(maxsize=3)
def _linear(name: str) -> Linear:
    """The linear value of each code of 16 bits: 1 = SHOWN; for HLG the light of the scene, 0..1."""
    import numpy as np

    code = np.arange(65536) / 65535
    if name == "pq":
        power = code ** (32 / 2523)
        light = 10000 / SHOWN * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (16384 / 2610)
    elif name == "hlg":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    else:
        light = code**GAMMA
    return light.astype(np.float32)


def _inside(linear: Linear) -> Linear:
    """Colours with a negative component, moved towards grey of the same luminance until none is."""
    import numpy as np

    lowest = linear.min(axis=2)
    if float(lowest.min()) >= 0:
        return linear
    grey = np.maximum(linear @ np.array(LUMA_709, np.float32), 0)
    share = np.where(lowest < 0, grey / np.maximum(grey - lowest, np.float32(1e-9)), np.float32(1))
    return grey[:, :, None] + share[:, :, None] * (linear - grey[:, :, None])


def _compressed(linear: Linear) -> Linear:
    """Brightness up to the picture's peak, in 0..1: linear up to KNEE of white, then ever flatter."""
    import numpy as np

    brightest = linear.max(axis=2)
    place = int(brightest.size * PEAK_SHARE)
    peak = float(np.partition(brightest.ravel(), place)[place])
    white = min(max(peak, 1.0), REFERENCE / SHOWN)
    linear, brightest, peak = linear / np.float32(white), brightest / np.float32(white), peak / white
    if peak <= 1.0:
        return linear
    above = np.maximum(brightest - KNEE, 0) / (1 - KNEE)
    most = (peak - KNEE) / (1 - KNEE)
    bent = KNEE + (1 - KNEE) * above * (1 + above / most**2) / (1 + above)  # slope 1 at the knee, 1 at the peak
    return (
        linear * np.where(brightest > KNEE, bent / np.maximum(brightest, np.float32(1e-9)), np.float32(1))[:, :, None]
    )
