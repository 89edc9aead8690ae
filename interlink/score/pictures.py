"""A hash of a picture: 64 bits that hardly change when it is scaled or compressed. Costs 0.2 ms per 256-pixel JPEG.

dHash: the signs of the differences between neighbours in a grey 9 × 8 picture. Hashes of different pictures differ in
about 32 bits.
"""

from __future__ import annotations

from interlink.errors import StageError
from interlink.media.look import signs

WIDTH, HEIGHT = 9, 8


def difference_hash(jpeg: bytes) -> int:
    """64 bits as a signed number, as tables store them. Raises StageError `unreadable`."""
    import numpy as np
    import simplejpeg

    try:
        grey = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY", fastdct=True, min_width=WIDTH * 4, min_height=HEIGHT * 4)
    except ValueError as error:
        raise StageError("unreadable", f"a frame is not a JPEG: {error}") from error
    bits = signs(grey[..., 0]) > 0
    return int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True)
