"""The samples of a foreign tar: runs of members with one key, from headers alone (about 10 µs per member)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, TypeVar

from interlink.shards.tar import Member, Notes, ShardError, key_and_suffix, members

Content = TypeVar("Content")


@dataclass(frozen=True)
class Run:
    """The members of one sample, adjacent: bytes [start, end) of the tar, headers included."""

    key: str
    start: int
    end: int
    suffixes: tuple[str, ...]


def runs(file: BinaryIO, notes: Notes | None = None) -> Iterator[Run]:
    """The samples of any webdataset tar, in order, from its headers: runs of members with one key.

    Where keys hold dots (`2024.05.00.jpg`, `2024.05.00.txt`), webdataset's key is that of all samples; they are split
    by what stands before the last dot. Raises ShardError at the end where the members of most samples are not
    adjacent; a few are noted, and each part is a sample.
    """
    notes = Notes() if notes is None else notes
    places: dict[str, frozenset[str]] = {}
    shapes: dict[frozenset[str], frozenset[str]] = {}
    torn: list[str] = []
    for found in _adjacent(file, notes):
        for run in _dotted(found):
            shape = frozenset(run.suffixes)
            shape = shapes.setdefault(shape, shape)
            if run.key in places and not places[run.key] & shape:
                torn.append(run.key)
            places[run.key] = shape
            yield run
    if 2 * len(set(torn)) > len(places):
        raise ShardError(
            f"holds the members of {len(set(torn))} of its {len(places)} samples in several places (for example of "
            f"{torn[0]!r}): write it again with the members of each sample next to each other, as tar --sort=name does"
        )
    for key in dict.fromkeys(torn):
        notes.add("samples with members in several places", key)


def _adjacent(file: BinaryIO, notes: Notes) -> Iterator[list[tuple[str, str, Member]]]:
    """(key, suffix, member) of adjacent members with one key."""
    held: list[tuple[str, str, Member]] = []
    for one in members(file, notes):
        named = key_and_suffix(one.name)
        if named is None:
            continue
        if held and held[-1][0] != named[0]:
            yield held
            held = []
        held.append((*named, one))
    if held:
        yield held


def _dotted(found: Sequence[tuple[str, str, Member]]) -> Iterator[Run]:
    parts: dict[str, list[tuple[str, Member]]] = {}
    for _, suffix, one in found:
        parts.setdefault(suffix.rpartition(".")[0], []).append((suffix, one))
    endings = [[suffix.rpartition(".")[2] for suffix, _ in part] for part in parts.values()]
    complete = sum(len(one) > 1 for one in endings)  # a few may lack their text
    whole = (
        len(parts) < 2 or "" in parts or 2 * complete < len(parts) or any(len(set(one)) < len(one) for one in endings)
    )
    key = found[0][0]
    for stem, part in [("", [(suffix, one) for _, suffix, one in found])] if whole else parts.items():
        suffixes = tuple(suffix for suffix, _ in part)
        yield Run(f"{key}.{stem}" if stem else key, part[0][1].start, part[-1][1].end, suffixes)


def bare(found: Mapping[str, Content]) -> dict[str, Content]:
    """The members of a sample without the part of a dotted key that they share: `05.00.jpg` -> `jpg`."""
    stems = {suffix.rpartition(".")[0] for suffix in found}
    if len(stems) != 1 or stems == {""} or len(found) < 2:
        return dict(found)
    return {suffix.rpartition(".")[2]: data for suffix, data in found.items()}
