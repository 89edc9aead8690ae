"""MinHash: a set as 64 numbers of 32 bits. The share of equal numbers estimates Jaccard similarity (Broder 1997).

The estimate's standard error is at most 0.0625. Costs about 1 ms for a set of 1000 members.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from functools import cache
from hashlib import blake2b
from typing import TYPE_CHECKING

from interlink.engines.frames import evenly
from interlink.text.words import ngrams, words

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SIZE = 64
SHINGLE = 5  # words
_MASK = 2**64 - 1  # tables store hashes as signed numbers
CHUNKS = 4  # of 16 bits, of a frame's hash


def sketch(members: Iterable[bytes]) -> bytes:
    """64 × uint32; empty for an empty set."""
    import numpy as np

    found = {int.from_bytes(blake2b(member, digest_size=8).digest(), "little") for member in members}
    if not found:
        return b""
    factors, terms = _family()
    values = np.fromiter(found, np.uint64, len(found))
    smallest = ((values[:, None] * factors + terms) >> np.uint64(32)).min(axis=0)
    data: bytes = smallest.astype("<u4").tobytes()
    return data


def likeness(a: bytes, b: bytes) -> float:
    """Estimated Jaccard similarity (0..1) of the sets behind two sketches."""
    import numpy as np

    return float((np.frombuffer(a, "<u4") == np.frombuffer(b, "<u4")).mean())


def bands(data: bytes, count: int) -> list[bytes]:
    """The `count` bands of a sketch by which likely duplicates are found, each labelled with its index.

    Sets of Jaccard similarity J share one of b bands of r numbers with probability 1 - (1 - J^r)^b.
    """
    width = len(data) // count
    return [bytes((number,)) + data[number * width : (number + 1) * width] for number in range(count)]


def of_frames(hashes: Sequence[int]) -> bytes:
    """The sketch of frames' 64-bit hashes: four pieces of 16 bits per hash, so that some survive a few changed bits.

    A piece without a sign (a flat part of the picture) carries no information and is left out. Copies share a fraction
    of their pieces (0.1 to 0.8 on the sample world; other videos under 0.08): this finds candidates for `distance`.
    """
    members = set()
    for value in hashes:
        data = (value & _MASK).to_bytes(8, "big")
        for number in range(CHUNKS):
            if piece := data[2 * number : 2 * number + 2].strip(b"\0"):
                members.add(bytes((number,)) + piece)
    return sketch(members)


def pack(hashes: Sequence[int]) -> bytes:
    """At most 64 of the hashes, evenly chosen; hashes of flat pictures carry no information and are left out."""
    chosen = evenly(tuple(value & _MASK for value in hashes if value), SIZE)
    return b"".join(value.to_bytes(8, "big") for value in chosen)


def distance(a: bytes, b: bytes) -> float:
    """Bits (of 64) by which frames differ from the nearest frame of the other video, averaged over the frames.

    The greater of both directions; 64 where a video has no frames. Re-encoded copies in the sample world: at most 7;
    other videos: 14 or more.
    """
    ours, theirs = ([int.from_bytes(data[n : n + 8], "big") for n in range(0, len(data), 8)] for data in (a, b))
    if not ours or not theirs:
        return 64.0
    return max(
        sum(min((x ^ y).bit_count() for y in other) for x in own) / len(own)
        for own, other in ((ours, theirs), (theirs, ours))
    )


def of_text(text: str) -> bytes:
    """The sketch of a text's runs of five words; of the whole text if it is shorter."""
    folded = words(text)
    shingles = ngrams(folded, SHINGLE) or ([tuple(folded)] if folded else [])
    return sketch(" ".join(shingle).encode() for shingle in shingles)


@cache
def _family() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Odd factors and terms of 64 multiply-shift hash functions (Dietzfelbinger 1996)."""
    import numpy as np

    draw = random.Random("interlink minhash")
    factors = np.array([draw.getrandbits(64) | 1 for _ in range(SIZE)], np.uint64)
    return factors, np.array([draw.getrandbits(64) for _ in range(SIZE)], np.uint64)
