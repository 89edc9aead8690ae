"""What `source.exclude_ids` names: videos and single clips that no document may hold. Costs one read of a small file.

One entry a line: an id (or the URL of a video), or an id, a tab and the number of a clip, counted from 0 as `interlink
why` shows it. Empty lines and lines that begin with `# ` are skipped.

The list is in the fingerprint of the stages that leave out what it names (`Stage.leaves_out`), by its content. Other
stages keep the rows that they have. A named video without a row is not given to them: its row is `dropped`, `excluded`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from interlink.errors import UserError
from interlink.fetch.addresses import completed, parse_url
from interlink.ids import safe_id

EXCLUDED = "excluded"  # reason of rows and clips


@dataclass(frozen=True)
class Exclusions:
    """videos: ids of items. clips: item -> the numbers of its clips; no item of `videos` is in it.

    written: item -> the entry in the file that names it first.
    """

    videos: frozenset[str] = frozenset()
    clips: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.videos or self.clips)

    @property
    def digest(self) -> str:
        """12 hex digits that stand for what is excluded, not for how the file writes it; empty if it is nothing."""
        if not self:
            return ""
        content = [sorted(self.videos), {item: list(self.clips[item]) for item in sorted(self.clips)}]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


NOTHING = Exclusions()


def read_exclusions(path: str) -> Exclusions:
    """The exclusions of a file; `path` empty = none. Raises UserError where it is missing or a line is not valid."""
    if not path:
        return NOTHING
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(
            f"the list of excluded ids {path} cannot be read: {error.strerror}",
            "set source.exclude_ids to a local file, or exclude nothing: --set source.exclude_ids=",
        ) from error
    except UnicodeDecodeError as error:
        before = error.object[: error.start].count(b"\n")
        raise UserError(
            f"{path}, line {before + 1}: not UTF-8", "write the list of excluded ids again as UTF-8"
        ) from error
    videos: set[str] = set()
    clips: dict[str, set[int]] = {}
    written: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("# "):
            continue
        entry, *rest = (cell.strip() for cell in line.split("\t"))
        clip = "".join(rest)
        if not entry or (clip and not (clip.isascii() and clip.isdigit())):
            raise UserError(
                f"{path}, line {number}: {line.strip()[:80]!r} is neither an id nor an id, a tab and a clip's number",
                "correct the line; a comment begins with `# `",
            )
        item = named_item(entry)
        written.setdefault(item, entry)
        if clip:
            clips.setdefault(item, set()).add(int(clip))
        else:
            videos.add(item)
    kept = {item: tuple(sorted(numbers)) for item, numbers in clips.items() if item not in videos}
    return Exclusions(frozenset(videos), kept, written)


def named_item(entry: str) -> str:
    """The id of the item that an entry names, as a source list would have it: of an id, or of the URL of a video."""
    entry = completed(entry)
    address = parse_url(entry) if "://" in entry else None
    if address is None:
        return safe_id(entry)
    return safe_id(address.video_id) if address.video_id else safe_id(address.url, name=address.stem)
