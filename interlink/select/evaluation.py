"""Decontamination: finds videos that are like items of benchmarks, by id, by text and by picture.

The comparison uses the same sketches as near-duplicates. Costs one sketch per text and one hash per picture of the
benchmarks, then a comparison of bits per frame and picture.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interlink.encodings import decode
from interlink.errors import StageError, UserError
from interlink.ids import safe_id
from interlink.score.pictures import difference_hash
from interlink.select.minhash import bands, likeness, of_text
from interlink.shards.pages import IMAGES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Kind = Literal["ids", "texts", "pictures"]
TEXT_BANDS = 32
_MASK = 2**64 - 1


@dataclass
class Benchmarks:
    """The items of benchmarks. Each kind maps to the name of the file that it is from."""

    ids: dict[str, str] = field(default_factory=dict)
    texts: list[tuple[bytes, str]] = field(default_factory=list)  # sketch, file
    pictures: list[tuple[int, str]] = field(default_factory=list)  # hash, file
    _buckets: dict[bytes, list[int]] = field(default_factory=dict)

    @staticmethod
    def load(sets: Mapping[Kind, Sequence[str]]) -> Benchmarks:
        """Reads files of ids and texts (a line each), and pictures (files, or all below a folder).

        Raises UserError where a file is missing, cannot be read for certain, or has no item.
        """
        found = Benchmarks()
        for path in sets.get("ids", ()):
            for line in _lines(path):
                found.ids |= {line: path, safe_id(line): path}
        for path in sets.get("texts", ()):
            for line in _lines(path):
                if sketched := of_text(line):
                    for piece in bands(sketched, TEXT_BANDS):
                        found._buckets.setdefault(piece, []).append(len(found.texts))
                    found.texts.append((sketched, path))
        for path in sets.get("pictures", ()):
            found.pictures += [(value, path) for value in _hashes(path)]
        return found

    def like(self, name: str, sketch: Mapping[str, Any], least: float, bits: float) -> tuple[str, str, float] | None:
        """(file, kind, likeness) of the item that a video is like, or None.

        least: Jaccard similarity of texts. bits: most bits (of 64) between a frame and a picture.
        """
        if name in self.ids:
            return self.ids[name], "id", 1.0
        if sketch["text"]:
            near = {n for piece in bands(sketch["text"], TEXT_BANDS) for n in self._buckets.get(piece, ())}
            alike = [(likeness(sketch["text"], self.texts[n][0]), self.texts[n][1]) for n in sorted(near)]
            best = max(alike, key=lambda pair: pair[0], default=(0.0, ""))
            if best[0] >= least:
                return best[1], "text", best[0]
        return self._picture(sketch["hashes"], bits)

    def _picture(self, packed: bytes, bits: float) -> tuple[str, str, float] | None:
        import numpy as np

        if not self.pictures or not packed:
            return None
        frames: NDArray[np.uint64] = np.frombuffer(packed, ">u8").astype(np.uint64)
        theirs = np.array([value for value, _ in self.pictures], np.uint64)
        differing = frames[:, None] ^ theirs[None, :]
        counts = np.unpackbits(differing.view(np.uint8).reshape(*differing.shape, 8), axis=2).sum(axis=2)
        place = int(counts.min(axis=0).argmin())
        least = int(counts[:, place].min())
        return (self.pictures[place][1], "picture", 1 - least / 64) if least <= bits else None


def _lines(path: str) -> list[str]:
    try:
        found = decode(Path(path).expanduser().read_bytes())
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", "check select.evaluation_sets", 2) from error
    if found.doubt:
        raise UserError(f"{path} is not certain to be read right: {found.doubt}", "save it as UTF-8", 2)
    lines = [" ".join(line.split()) for line in found.text.splitlines()]
    if not any(lines):
        raise UserError(f"{path} has no line", "check select.evaluation_sets", 2)
    return [line for line in lines if line]


def _jpeg(data: bytes) -> bytes:
    """A picture as JPEG, which frames are: of other formats, on white."""
    if data.startswith(b"\xff\xd8"):
        return data
    from PIL import Image

    with Image.open(io.BytesIO(data)) as opened:
        seen = opened.convert("RGBA")
        white = Image.new("RGBA", seen.size, (255, 255, 255, 255))
        buffer = io.BytesIO()
        Image.alpha_composite(white, seen).convert("RGB").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def _hashes(path: str) -> Iterator[int]:
    root = Path(path).expanduser()
    if not root.exists():
        raise UserError(f"{path} does not exist", "check select.evaluation_sets", 2)
    files = sorted(one for one in root.rglob("*") if one.is_file()) if root.is_dir() else [root]
    pictures = [one for one in files if one.suffix.lower().lstrip(".") in IMAGES]
    if not pictures:
        raise UserError(f"{path} has no pictures ({', '.join(IMAGES)})", "check select.evaluation_sets", 2)
    for one in pictures:
        try:
            value = difference_hash(_jpeg(one.read_bytes())) & _MASK
        except (OSError, StageError, ValueError) as error:
            raise UserError(f"{one} is not a picture: {error}", "remove it, or leave it out", 2) from error
        if value:  # a flat picture is like every flat frame
            yield value
