"""A picture's hash: 64 bits that hardly change when it is scaled or compressed again. About 0.2 ms a 256-pixel JPEG.

dHash: the signs of the differences between neighbours of a grey 9 × 8 picture. Unlike pictures differ in about 32 bits.
"""

from __future__ import annotations

from interlink.errors import StageError

WIDTH, HEIGHT = 9, 8


def difference_hash(jpeg: bytes) -> int:
    """64 bits as a signed number, as tables hold them. Raises StageError `unreadable`."""
    import numpy as np
    import simplejpeg

    try:
        grey = simplejpeg.decode_jpeg(jpeg, colorspace="GRAY", fastdct=True, min_width=WIDTH * 4, min_height=HEIGHT * 4)
    except ValueError as error:
        raise StageError("unreadable", f"a frame is no JPEG: {error}") from error
    plain = grey[..., 0].astype(np.float64)
    if plain.shape[0] < HEIGHT or plain.shape[1] < WIDTH:
        plain = plain.repeat(HEIGHT, 0).repeat(WIDTH, 1)
    for axis, cells in ((0, HEIGHT), (1, WIDTH)):
        edges = np.linspace(0, plain.shape[axis], cells + 1).astype(int)
        plain = np.add.reduceat(plain, edges[:-1], axis) / np.expand_dims(np.diff(edges), 1 - axis)
    bits = (plain[:, 1:] > plain[:, :-1] + 0.5).ravel()  # half a grey level: a flat picture has no signs
    return int.from_bytes(np.packbits(bits).tobytes(), "big", signed=True)
