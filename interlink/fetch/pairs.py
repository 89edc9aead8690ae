"""Lists of image–text pairs (CC3M, SBU, LAION, DataComp, DreamLIP, PixelProse) as rows of `collect`. Opens no pictures.

The texts of a pair stay in the row's metadata, under the names of their columns; `annotations` chooses among them.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from interlink.errors import UserError
from interlink.fetch.addresses import parse_url
from interlink.fetch.lists import BadLine, Record, metadata, read_list
from interlink.ids import safe_id
from interlink.redaction import has_user_info, redact_text
from interlink.stage import Row

KIND = "pair"
COLUMNS = {
    "id": ("id", "uid", "key", "image_id"),
    "url": ("url", "URL", "image_url", "image_urls", "Image Path", "ImagePath", "img_url", "contentUrl"),
    "path": ("path", "file", "file_name", "filename", "filepath", "image_path", "image"),
    "licence": ("licence", "license", "LICENSE"),
}


def scan(path: Path, header: tuple[str, ...], named: dict[str, str], images: Path) -> Iterator[Row]:
    """A row for each entry; an entry without a picture is a failed row. Raises UserError without a picture column.

    header: columns of a list without a header line. named: role -> column from the recipe; else the usual names.
    images: folder of the pictures without a URL.
    """
    columns, records = read_list(path, header)
    if columns == ("",):
        raise UserError(f"{path} has no columns", "use a list of pairs with columns: csv, tsv, jsonl, parquet")
    if columns:
        roles = _roles(columns, named)
        if not roles.keys() & {"url", "path"}:
            raise UserError(
                f"{path} has no column with URLs or paths of pictures; its columns: {', '.join(columns)}",
                "set source.url_column or source.path_column, or source.header if the file has no header line",
            )
    for record in records:
        if isinstance(record, BadLine):
            yield _bad(record.line, f"{record.message}: {record.text[:100]}")
        else:
            yield _row(record, _roles(tuple(record.cells), named), images)


def _roles(columns: Sequence[str], named: dict[str, str]) -> dict[str, str]:
    found = {}
    for role, usual in COLUMNS.items():
        for name in (named[role],) if named.get(role) else usual:
            if name in columns:
                found[role] = name
                break
    return found


def _row(record: Record, roles: dict[str, str], images: Path) -> Row:
    def cell(role: str) -> str:
        value = record.cells.get(roles.get(role, "\0"))
        return "" if value is None else str(value).strip()

    url, path, item_id = cell("url"), cell("path"), cell("id")
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
    if licence := cell("licence"):
        fields["licence"] = licence
    try:
        "".join(fields.values()).encode()
    except UnicodeEncodeError:
        return _bad(record.line, "not UTF-8")
    return Row(item, fields)


def _bad(line: int, message: str) -> Row:
    text = message.encode("utf-8", "backslashreplace").decode()
    return Row(
        safe_id(f"\nline {line} {text}", name=f"line-{line}"),
        status="failed",
        error_class="no_media",
        message=f"line {line}: {text}",
    )
