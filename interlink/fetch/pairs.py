"""Lists of image–text pairs (CC3M, SBU, LAION, DataComp, DreamLIP, PixelProse) as rows of `collect`. Opens no pictures.

The texts of a pair stay in the row's metadata, under the names of their columns; `annotations` chooses among them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from interlink.errors import UserError
from interlink.fetch import pair_tars
from interlink.fetch.addresses import completed, parse_url
from interlink.fetch.columns import find_columns
from interlink.fetch.counts import SourceCounts
from interlink.fetch.lists import BadLine, Record, metadata, read_list
from interlink.ids import safe_id
from interlink.redaction import has_user_info, redact_text
from interlink.stage import Row
from interlink.values import known_text, known_texts

KIND = pair_tars.KIND
COLUMNS = {
    "id": ("id", "uid", "key", "image_id"),
    "url": ("url", "URL", "image_url", "image_urls", "Image Path", "ImagePath", "img_url", "contentUrl"),
    "path": ("path", "file", "file_name", "filename", "filepath", "image_path", "image"),
    "licence": ("licence", "license", "LICENSE"),
}


def scan(
    path: Path, header: tuple[str, ...], named: dict[str, str], images: Path, counts: SourceCounts
) -> Iterator[Row]:
    """A row for each picture of a list, or sample of tars; an entry without one is a failed row.

    Raises UserError without a picture column.
    header: columns of a list without a header line. named: role -> column from the recipe; else the usual names.
    images: folder of the pictures without a URL. Rows of one picture become one row: columns in which they differ hold
    the list of their values. Holds all rows in memory.
    """
    if path.is_dir() or path.suffix.lower() == ".tar":
        yield from pair_tars.scan(path)
        return
    usual = {name.casefold() for names in (*COLUMNS.values(), named.values()) for name in names if name}
    columns, records = read_list(path, header, usual)
    if columns == ("",):
        raise UserError(f"{path} has no columns", "use a list of pairs with columns: csv, tsv, jsonl, parquet")
    if columns:
        roles = find_columns(columns, COLUMNS, named)
        if not roles.keys() & {"url", "path"}:
            raise UserError(
                f"{path} has no column with URLs or paths of pictures; its columns: {', '.join(columns)}",
                "set source.url_column or source.path_column, or source.header if the file has no header line",
            )
    found: dict[str, Row] = {}
    for record in records:
        if isinstance(record, BadLine):
            row = _bad(record.line, f"{record.message}: {redact_text(record.text)[:100]}")
        elif isinstance(record, Record):
            row = _row(record, find_columns(tuple(record.cells), COLUMNS, named), images)
        else:
            continue
        first = found.setdefault(row.id, row)
        if first is row:
            continue
        if first.fields.get("uri") == row.fields.get("uri"):
            _join(first, row, record.line, counts)
        else:
            refused = _bad(record.line, f"its id {row.fields['video_id']!r} is that of another picture")
            found[refused.id] = refused
    yield from found.values()


def _join(first: Row, row: Row, line: int, counts: SourceCounts) -> None:
    """Adds the values of a further row of a picture to its first row."""
    cells, further = json.loads(first.fields["metadata"]), json.loads(row.fields["metadata"])
    if all(cells.get(name) == value for name, value in further.items()):
        counts.add("joined", f"line {line} repeats {first.fields['path'] or first.fields['uri']}")
        return
    for name, value in further.items():
        held = cells.get(name)
        if held is None:
            cells[name] = value
        elif held != value:
            values = held if isinstance(held, list) else [held]
            more = value if isinstance(value, list) else [value]
            cells[name] = values + [one for one in more if one not in values]
    first.fields["metadata"] = metadata(cells)
    first.partial = first.partial or row.partial
    first.message = first.message or row.message
    counts.add("joined", f"line {line}: a further text of {first.fields['path'] or first.fields['uri']}")


def _row(record: Record, roles: dict[str, str], images: Path) -> Row:
    cells = dict.fromkeys(COLUMNS, "")
    for role, name in roles.items():
        value = record.cells.get(name)
        try:
            cells[role] = ", ".join(known_texts(value)) if role == "licence" else known_text(value)
        except ValueError as error:
            return _bad(record.line, f"{name} {error}")
    url, path, item_id = cells["url"], cells["path"], cells["id"]
    if record.guessed and not (url + path + item_id).isascii():
        return _bad(record.line, f"not UTF-8: {record.doubt}")
    if url and not os.path.lexists(images / url.partition("/")[0]):
        url = completed(url)
    if url and (address := parse_url(url)) is None and "://" not in url:
        path, url = path or url, ""  # DreamLIP's `Image Path` holds either
    elif url and (address is None or not address.url.startswith(("http://", "https://"))):
        return _bad(record.line, f"{redact_text(url)[:200]!r} is not an http URL")
    elif url and has_user_info(url):
        return _bad(record.line, "a URL with a user name or password")
    if not url and not path:
        return _bad(record.line, f"no URL and no path in {redact_text(json.dumps(record.cells, default=str))[:200]}")
    if path and not path.isprintable():
        return _bad(record.line, f"{path!r} has unprintable characters")
    local = not url
    target = Path(os.path.normpath(images / path))
    if local and not target.is_relative_to(images):
        return _bad(record.line, f"{path!r} is outside {images.name} (source.images_path)")
    item = safe_id(item_id) if item_id else safe_id(url or path, name=Path(url.partition("?")[0] or path).stem)
    used = {roles.get("url"), roles.get("path"), roles.get("licence")}
    rest = {name: value for name, value in record.cells.items() if name not in used}
    fields = {
        "kind": KIND,
        "uri": str(target) if local else url,
        "path": target.relative_to(images).as_posix() if local else "",
        "video_id": item_id or item,
        "title": "",
        "category": "",
        "metadata": metadata(rest),
    }
    if cells["licence"]:
        fields["licence"] = cells["licence"]
    try:
        "".join(fields.values()).encode()
    except UnicodeEncodeError:
        return _bad(record.line, "not UTF-8")
    return Row(
        item, fields, partial=bool(record.doubt), message=f"line {record.line}: {record.doubt}" if record.doubt else ""
    )


def _bad(line: int, message: str) -> Row:
    text = message.encode("utf-8", "backslashreplace").decode()
    return Row(
        safe_id(f"\nline {line} {text}", name=f"line-{line}"),
        status="failed",
        error_class="no_media",
        message=f"line {line}: {text}",
    )
