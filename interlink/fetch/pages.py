"""Files of web pages (MMC4, OBELICS, MINT-1T: jsonl, Parquet, tar): finds the place of each page, and reads pages.

Finding pages reads a file once (only the headers of a tar, the footer of Parquet) and parses no page; a page is parsed
when it is processed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlink.encodings import decode
from interlink.errors import Dropped, StageError, UserError
from interlink.fetch.local import irregular
from interlink.ids import safe_id
from interlink.shards import curated, index, pages, released, tar
from interlink.stage import Row

KIND = "page"
SUFFIXES = (".jsonl", ".ndjson", ".parquet", ".tar")


def scan(source: Path, images: str) -> Iterator[Row]:
    """A row of `collect` for each page of a file, or of all page files below a folder.

    images: folder of pictures that pages refer to by name. Raises UserError where a file cannot be read.
    """
    is_folder = source.is_dir()
    there = {"images": str(Path(images).expanduser().absolute())} if images else {}
    files = sorted(filter(_is_of_pages, source.rglob("*"))) if is_folder else [source]
    for path in files:
        relative = path.relative_to(source).as_posix() if is_folder else path.name
        if why := irregular(path):
            item = safe_id(f"\n{relative}", name=path.stem)
            yield Row(item, status="failed", error_class="unreadable", message=f"{relative}: {why}")
            continue
        kind = path.suffix.lower()
        if kind not in SUFFIXES:
            raise UserError(
                f"{path} is not a readable file of pages", f"use one of {', '.join(SUFFIXES)}, uncompressed", 2
            )
        for number, (key, place) in enumerate(_places(path, kind)):
            raw = f"{relative}#{number}"
            item = safe_id(raw, name=key or f"{path.stem}-{number:06d}")
            fields = {"kind": KIND, "uri": str(path), "path": relative, "video_id": item, "title": "", "category": ""}
            yield Row(item, fields | {"metadata": json.dumps({**place, **there}, sort_keys=True)})


def _is_of_pages(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith("._") and not path.is_dir()


def _places(path: Path, kind: str) -> Iterator[tuple[str, dict[str, int]]]:
    """(key or empty, place) of each page."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if kind == ".tar":
            with path.open("rb") as file:
                for entry in index.scan(file).entries:
                    yield entry.key, {"offset": entry.offset, "size": entry.size}
        elif kind == ".parquet":
            with pq.ParquetFile(path) as table:
                if curated.is_curated(table.schema_arrow.names):
                    for key, first, rows in curated.samples(table):
                        yield key, {"first": first, "rows": rows}
                    return
                for group in range(table.num_row_groups):
                    for row in range(table.metadata.row_group(group).num_rows):
                        yield "", {"group": group, "row": row}
        else:
            with path.open("rb") as file:
                offset = 0
                for line in file:
                    if line.strip():
                        yield "", {"offset": offset, "size": len(line)}
                    offset += len(line)
    except (tar.ShardError, pa.ArrowException, OSError) as error:
        raise UserError(f"{path} cannot be read: {error}", "copy it again, or remove it from the source") from error


@dataclass(frozen=True)
class Released:
    """A document of a release of ours. texts: of its elements, None for a picture; pictures: in order; places: see
    `interlink.shards.released.placed`."""

    texts: list[str | None]
    pictures: list[bytes]
    places: dict[str, Any]


class Reader:
    """Reads pages. Keeps the last row group of Parquet in memory, since its pages are read one after another."""

    def __init__(self, images: str) -> None:
        """images: folder of pictures that pages refer to by name (MMC4's `image_name`); empty: none."""
        self._images = Path(images).expanduser().resolve() if images else None
        self._group: tuple[str, int] | None = None
        self._rows: list[dict[str, Any]] = []
        self._held: tuple[str, int, Any] | None = None  # the last row group of several rows a sample

    def read(self, uri: str, place: Mapping[str, int]) -> tuple[str, list[str | pages.Slot]]:
        """(URL of the page, its texts and images in order). Raises StageError, or Dropped (no_images)."""
        name = Path(uri).name
        try:
            about, members, key = self._record(Path(uri), place)
            if pages.is_mmc4(about):
                members = _with_pictures(about, members, self._images) if self._images else members
                page = pages.read_mmc4(about, members, key)
                if page.images and not any(at is not None for at in page.matched):
                    raise ValueError("none of its images has a matched_text_index")
                slots = pages.placed(page)
            elif pages.is_page(about):
                slots = pages.read_page(about, members, key)
            else:
                there = ", ".join(sorted(map(str, about)))[:200]
                raise ValueError(
                    f"has neither text_list and image_info (MMC4) nor texts (OBELICS, MINT-1T), but {there}"
                )
        except (FileNotFoundError, NotADirectoryError) as error:
            raise StageError("gone", f"{name} no longer exists") from error
        except (ValueError, KeyError, TypeError, tar.ShardError, RecursionError) as error:
            why = error.args[0] if isinstance(error, KeyError) else error
            raise StageError("unreadable", f"{name} at {dict(place)}: {why}") from error
        if not any(isinstance(slot, pages.Slot) for slot in slots):
            raise Dropped("no_images", "a page without images, or without places for them")
        return _url(about), slots

    def _record(self, path: Path, place: Mapping[str, int]) -> tuple[dict[str, Any], dict[str, Any], str]:
        """The record, the members of its sample, and the sample's key."""
        if "rows" in place:
            return curated.record(self._span(path, place["first"], place["rows"])), {}, ""
        if "group" in place:
            about: Any = self._row(path, place["group"], place["row"])
            return about, {}, ""
        with path.open("rb") as file:
            file.seek(place["offset"])
            data = file.read(place["size"])
        key = ""
        members: dict[str, Any] = {}
        if path.suffix.lower() == ".tar":
            key, members = tar.parse_sample(data)
            if "json" not in members:
                raise ValueError(f"the sample has no json, but {', '.join(sorted(members))}")
            data = members["json"]
        text = decode(data)
        if text.doubt:
            raise ValueError(f"the record is not certain to be read right: {text.doubt}")
        about = json.loads(text.text)
        if not isinstance(about, dict):
            raise ValueError(f"the record is a {type(about).__name__}, not an object")
        return about, members, key

    def _span(self, path: Path, first: int, count: int) -> list[dict[str, Any]]:
        """Some rows of a file with a sample of several rows; they may lie in two row groups."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as table:
            found, begin = [], 0
            for group in range(table.num_row_groups):
                end = begin + table.metadata.row_group(group).num_rows
                if begin < first + count and end > first:
                    rows = self._group_of(table, path, group)
                    found += rows.slice(max(0, first - begin), min(end, first + count) - max(begin, first)).to_pylist()
                begin = end
            return found

    def _group_of(self, table: Any, path: Path, group: int) -> Any:
        if self._held is None or self._held[:2] != (str(path), group):
            self._held = (str(path), group, table.read_row_group(group, columns=curated.columns(table)))
        return self._held[2]

    def released(self, uri: str, place: Mapping[str, int]) -> Released | None:
        """The record as a document of a release of ours; None if it is something else, or cannot be read."""
        try:
            about, members, _ = self._record(Path(uri), place)
            found = released.whole(about, members)
            if found is None:
                return None
            document, pictures = found
            texts, places = released.placed(document)
        except (OSError, ValueError, KeyError, TypeError, IndexError, tar.ShardError, RecursionError):
            return None  # `read` gives the reason
        return Released(texts, list(pictures.values()), places)

    def _row(self, path: Path, group: int, row: int) -> dict[str, Any]:
        import pyarrow.parquet as pq

        if self._group != (str(path), group):
            with pq.ParquetFile(path) as table:
                self._rows = table.read_row_group(group).to_pylist()
            self._group = (str(path), group)
        return self._rows[row]


def _with_pictures(about: Mapping[str, Any], members: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The members, and the pictures in `folder` that an MMC4 record names. Ignores names that leave the folder."""
    found = dict(members)
    for info in about["image_info"]:
        name = info.get("image_name")
        if not name or not isinstance(name, str):
            continue
        path = (folder / name).resolve()
        if path.is_relative_to(folder) and path.is_file():
            found[name.lower()] = path.read_bytes()
    return found


def _url(about: Mapping[str, Any]) -> str:
    """The URL of the page, if the record has one."""
    for value in (about, about.get("general_metadata"), about.get("metadata")):
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except ValueError:
                continue
        if isinstance(value, Mapping) and isinstance(value.get("url"), str):
            return str(value["url"])
    return ""
