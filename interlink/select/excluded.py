"""Videos and clips that a file of ids excludes from documents (`source.exclude_ids`), such as after a takedown request.

    <id>                  a video: its id in the tables, its id on its site, or its path in the source folder
    <id> TAB <number>     a clip of it, from 0

Empty lines, and lines that begin with `#` and a space, are comments. A build keeps what it read in the root, in a file
named by its content: stages read it there on any machine, and its name in their settings is the content's digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interlink.errors import UserError
from interlink.storage import Storage

REASON = "excluded"
FOLDER = "excluded"
MESSAGE = "source.exclude_ids names it"


@dataclass(frozen=True)
class Excluded:
    """videos: names of whole videos. clips: name of a video -> numbers of its clips."""

    videos: frozenset[str] = frozenset()
    clips: Mapping[str, frozenset[int]] = field(default_factory=dict)

    @staticmethod
    def read(path: str) -> Excluded:
        """Reads a user's file. Raises UserError, with the line, where it cannot be read or understood."""
        try:
            text = Path(path).expanduser().read_bytes().decode("utf-8-sig")
        except OSError as error:
            raise UserError(
                f"cannot read {path}: {error.strerror}", "set source.exclude_ids to a file of ids, one a line", 2
            ) from error
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise UserError(f"{path} is not UTF-8 (line {line})", "save it as UTF-8", 2) from error
        return Excluded._parse(text, path)

    @staticmethod
    def load(root: Storage, digest: str) -> Excluded:
        """What a build stored; empty for an empty digest."""
        if not digest:
            return Excluded()
        path = f"{FOLDER}/{digest}.txt"
        return Excluded._parse(root.read(path).decode(), root.full(path))

    @staticmethod
    def _parse(text: str, path: str) -> Excluded:
        videos: set[str] = set()
        clips: dict[str, set[int]] = {}
        for number, line in enumerate(text.splitlines(), 1):
            name, *cells = (cell.strip() for cell in line.split("\t"))
            if not line.strip() or line.startswith("# ") or line.strip() == "#":
                continue
            if not name or len(cells) > 1 or not all(cell.isdecimal() for cell in cells):
                raise UserError(
                    f"{path}, line {number}: {line[:100]!r} is not an id, or an id, a tab and the number of a clip",
                    "write one id a line; `interlink status ROOT --rows` and `interlink why ROOT ID` show ids",
                    2,
                )
            if cells:
                clips.setdefault(name, set()).add(int(cells[0]))
            else:
                videos.add(name)
        return Excluded(frozenset(videos), {name: frozenset(numbers) for name, numbers in clips.items()})

    def store(self, root: Storage) -> str:
        """Writes it below the root, once. Returns its digest."""
        lines = [*self.videos, *(f"{name}\t{number}" for name, numbers in self.clips.items() for number in numbers)]
        data = "".join(f"{line}\n" for line in sorted(lines)).encode()
        digest = hashlib.sha256(data).hexdigest()[:16]
        path = f"{FOLDER}/{digest}.txt"
        if not root.exists(path):
            with root.committing():
                root.write(path, data)
        return digest

    def has(self, item_id: str, source: Mapping[str, Any]) -> bool:
        """Whether a whole video is excluded. source: its row of `collect`."""
        return any(name in self.videos for name in _names(item_id, source))

    def clips_of(self, item_id: str, source: Mapping[str, Any]) -> frozenset[int]:
        """Numbers of the clips of a video that are excluded."""
        found: frozenset[int] = frozenset()
        return found.union(*(self.clips.get(name, ()) for name in _names(item_id, source)))

    def unknown(self, rows: Iterable[Mapping[str, Any]]) -> list[str]:
        """The names that no row of `collect` has, sorted. rows: id, video_id and path of every item."""
        wanted = self.videos | self.clips.keys()
        known = {name for row in rows for name in _names(row["id"], row) if name in wanted}
        return sorted(wanted - known)


def _names(item_id: str, source: Mapping[str, Any]) -> Iterator[str]:
    yield item_id
    yield from (source[key] for key in ("video_id", "path") if source.get(key))
