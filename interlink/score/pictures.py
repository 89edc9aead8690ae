"""A hash of a picture: 64 bits that hardly change when it is scaled or compressed. Costs 0.2 ms per 256-pixel JPEG.

dHash: the signs of the differences between neighbours in a grey 9 × 8 picture. Hashes of different pictures differ in
about 32 bits.
"""

from __future__ import annotations

from interlink.errors import StageError

WIDTH, HEIGHT = 9, 8


def difference_hash(jpeg: bytes) -> int:
    """64 bits as a signed number, as tables store them. Raises StageError `unreadable`."""
    import numpy as np
    import simplejpeg

    try:
        grey = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY", fastdct=True, min_width=WIDTH * 4, min_height=HEIGHT * 4)
    except ValueError as error:
        raise StageError("unreadable", f"a frame is not a JPEG: {error}") from error
    plain = grey[..., 0].astype(np.float64)
    if plain.shape[0] < HEIGHT or plain.shape[1] < WIDTH:
        plain = plain.repeat(HEIGHT, 0).repeat(WIDTH, 1)
    for axis, cells in ((0, HEIGHT), (1, WIDTH)):
        edges = np.linspace(0, plain.shape[axis], cells + 1).astype(int)
        plain = np.add.reduceat(plain, edges[:-1], axis) / np.expand_dims(np.diff(edges), 1 - axis)
    bits = (
        plain[:, 1:] > plain[:, :-1] + 0.5
    ).ravel()  # more than half a grey level, so that a flat picture has no signs
    return int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True)
