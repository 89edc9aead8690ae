"""Tars of pairs (img2dataset, video2dataset, open_clip, our own) as rows of `collect`. Reads texts, opens no media.

A sample is a picture or a video with a `txt` (`text`, `caption`) or a `json`. Its json's fields are the row's metadata;
the text is the field `caption` if the json has none. Costs a read of each header and text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, BinaryIO

from interlink.encodings import decode
from interlink.errors import StageError, UserError
from interlink.ids import safe_id
from interlink.shards import tar
from interlink.shards.pages import IMAGES
from interlink.stage import Row

KIND = "pair"
FILE = "file"  # the kind of a video
VIDEOS = ("mp4", "webm", "mkv", "mov", "avi")
_BLOCK = 1 << 20
_TEXTS = ("txt", "text", "caption")
_PLACE = "tar_member"  # of the metadata: where the picture lies in the tar


@dataclass(frozen=True)
class Place:
    """The bytes [offset, offset + size) of a tar."""

    offset: int
    size: int


def holds_videos(source: Path, extensions: Sequence[str]) -> bool:
    """Whether a source of videos is a tar, or a folder with tars and without a video file of its own."""
    if not source.is_dir():
        return source.suffix.lower() == ".tar"
    names = [path.name for path in source.iterdir() if not path.name.startswith(".")]
    return any(name.endswith(".tar") for name in names) and not any(name.endswith(tuple(extensions)) for name in names)


def scan(source: Path, kind: str = KIND) -> Iterator[Row]:
    """A row for each sample of a tar, or of all tars below a folder; one without a picture is a failed row.

    kind: KIND for pictures, FILE for videos.

    A damaged tar among others is a failed row after its readable samples. Raises UserError where there is no tar, or
    the only one cannot be read.
    """
    is_folder = source.is_dir()
    files = (
        sorted(path for path in source.rglob("*.tar") if path.is_file() and not path.name.startswith("."))
        if is_folder
        else [source]
    )
    if not files:
        raise UserError(
            f"there are no tars in {source}", "set source.path to a list of pairs, a tar, or a folder of tars"
        )
    for path in files:
        relative = path.relative_to(source).as_posix() if is_folder else path.name
        try:
            with path.open("rb") as file:
                named = ((tar.key_and_suffix(member.name), member) for member in tar.members(file))
                usable = ((*split, member) for split, member in named if split is not None)
                for key, group in groupby(usable, key=lambda one: one[0]):
                    members = {suffix: member for _, suffix, member in group}
                    yield _row(path, relative, key, members, file, kind)
        except (tar.ShardError, OSError) as error:
            if len(files) > 1:  # the others are built
                message = f"{relative} cannot be read further: {error}"
                yield Row(
                    safe_id(f"\n{relative}", name=path.stem), status="failed", error_class="unreadable", message=message
                )
                continue
            raise UserError(f"{path} cannot be read: {error}", "copy it again, or remove it from the source") from error


def place_of(metadata: str) -> Place | None:
    """Where the picture or video lies in its tar; None for an item of a list or folder."""
    found = json.loads(metadata or "{}").get(_PLACE)
    return Place(found["offset"], found["size"]) if found else None


def extract(path: Path, place: Place, target: Path, most_bytes: float) -> None:
    """Writes a video in a tar to a file. Raises StageError."""
    if place.size > most_bytes:
        raise StageError("too_large", f"a video in {path.name} has {place.size} bytes")
    try:
        with path.open("rb") as file, target.open("wb") as out:
            file.seek(place.offset)
            left = place.size
            while left and (block := file.read(min(left, _BLOCK))):
                out.write(block)
                left -= len(block)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StageError("gone", f"{path.name} does not exist") from error
    if left:
        raise StageError("unreadable", f"{path.name} ends in the middle of a video")


def picture(path: Path, place: Place, max_megabytes: float) -> bytes:
    """The bytes of a picture in a tar. Raises StageError."""
    if place.size > max_megabytes * 1e6:
        raise StageError("too_large", f"a picture in {path.name} has {place.size} bytes")
    try:
        with path.open("rb") as file:
            file.seek(place.offset)
            data = file.read(place.size)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise StageError("gone", f"{path.name} does not exist") from error
    except OSError as error:
        raise StageError("unreadable", f"{path.name}: {error.strerror}") from error
    if len(data) < place.size:
        raise StageError("unreadable", f"{path.name} ends in the middle of a picture")
    return data


def _row(path: Path, relative: str, key: str, members: dict[str, tar.Member], file: BinaryIO, kind: str) -> Row:
    name = f"{relative}/{key}"
    item = safe_id(name, name=key.rpartition("/")[2])
    wanted, thing = (VIDEOS, "video") if kind == FILE else (IMAGES, "picture")
    suffix = next((one for one in members if one.rpartition(".")[2] in wanted), None)
    if suffix is None:
        return _bad(item, f"{name} has no {thing}, but {', '.join(sorted(members))}")
    try:
        about = _json(members, file)
        text = next((_text(file, members[one]) for one in _TEXTS if one in members), "")
    except ValueError as error:
        return _bad(item, f"{name}: {error}")
    if text and not about.get("caption"):
        about["caption"] = text
    licence = str(about.pop("license", "") or about.pop("licence", "") or "")
    place = {"offset": members[suffix].data, "size": members[suffix].size}
    fields = {
        "kind": kind,
        "uri": str(path),
        "path": f"{name}.{suffix}",
        "video_id": str(about.get("key") or item),
        "title": "",
        "category": "",
        "metadata": json.dumps({**about, _PLACE: place}, sort_keys=True, ensure_ascii=False),
        **({"licence": licence} if licence else {}),
    }
    return Row(item, fields)


def _json(members: dict[str, tar.Member], file: BinaryIO) -> dict[str, Any]:
    if "json" not in members:
        return {}
    found = json.loads(_text(file, members["json"]))
    if not isinstance(found, dict):
        raise ValueError(f"its json is a {type(found).__name__}, not an object")
    return found


def _text(file: BinaryIO, member: tar.Member) -> str:
    """The text of a member. Raises ValueError if its encoding is not certain."""
    file.seek(member.data)
    found = decode(file.read(member.size))
    if found.doubt:
        raise ValueError(f"{member.name} is not certain to be read right: {found.doubt}")
    return found.text


def _bad(item: str, message: str) -> Row:
    return Row(item, status="failed", error_class="no_media", message=message)
