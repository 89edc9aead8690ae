"""The order of samples: a permutation of each epoch drawn by (seed, epoch), computed one position at a time.

A Feistel network over the smallest even number of bits, iterated until it lands inside the epoch. Costs O(1) memory and
about 10 µs a position at any size, so a stream resumes anywhere at once, on any number of readers.
"""

from __future__ import annotations

import hashlib

_ROUNDS = 6
_MASK = (1 << 64) - 1


class Order:
    """A fixed permutation of range(size)."""

    def __init__(self, size: int, seed: int, epoch: int) -> None:
        if size <= 0:
            raise ValueError("an order needs at least one sample")
        self.size = size
        self._half_bits = max(3, ((size - 1).bit_length() + 1) // 2)
        self._half_mask = (1 << self._half_bits) - 1
        digest = hashlib.blake2b(f"{seed}/{epoch}".encode(), digest_size=8 * _ROUNDS).digest()
        self._keys = [int.from_bytes(digest[8 * i : 8 * i + 8], "little") for i in range(_ROUNDS)]

    def __getitem__(self, position: int) -> int:
        """The unit at `position`; every unit occurs exactly once."""
        if not 0 <= position < self.size:
            raise IndexError(position)
        value = position
        while True:
            value = self._shuffle(value)
            if value < self.size:
                return value

    def _shuffle(self, value: int) -> int:
        left, right = value >> self._half_bits, value & self._half_mask
        for key in self._keys:
            left, right = right, left ^ (_mix(right, key) & self._half_mask)
        return (left << self._half_bits) | right


def _mix(value: int, key: int) -> int:
    """The finaliser of splitmix64 (Steele et al. 2014) over value and key."""
    z = (value * 0x9E3779B97F4A7C15 + key) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)
