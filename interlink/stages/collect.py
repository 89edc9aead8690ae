"""collect: turns a folder or a list into rows, one per source item. Opens no media and no connection; costs a listing.

Sources of pairs and of web pages have their own readers (interlink.fetch.pairs, interlink.fetch.pages).

It makes the generations that all stages read, so nothing may be lost here: a broken file is an item (a later stage
finds the fault), and an entry without an id, URL or path is a failed row.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from pydantic import Field, field_validator

from interlink.errors import UserError
from interlink.fetch import pair_tars
from interlink.fetch.addresses import SITE_ID, YOUTUBE_ID, YOUTUBE_TEMPLATE, completed, parse_url
from interlink.fetch.columns import find_columns
from interlink.fetch.counts import SourceCounts
from interlink.fetch.lists import BadLine, Comment, Record, metadata, read_list
from interlink.fetch.local import irregular
from interlink.ids import safe_id
from interlink.redaction import has_user_info, redact_text
from interlink.settings import Settings, added
from interlink.stage import Row
from interlink.values import known_text, known_texts

MEDIA_EXTENSIONS = (
    *("mp4", "m4v", "mov", "mkv", "webm", "avi", "flv", "wmv", "asf", "mpg", "mpeg", "m2v"),
    *("ts", "mts", "m2ts", "vob", "3gp", "3g2", "ogv", "ogg", "mxf", "f4v", "rm", "rmvb", "divx"),
)
_KNOWN_COLUMNS = {
    "id": ("video_id", "videoid", "youtube_id", "yt_id", "vid", "id"),
    "url": ("url", "contentUrl", "content_url", "video_url", "webpage_url", "link"),
    "path": ("path", "file", "file_path", "filepath", "filename", "video_path", "media"),
    "title": ("title", "name"),
    "category": ("category", "category_1"),
    "licence": ("licence", "license"),
}

_DESCRIBING = ("title", "category", "licence")  # an item is one without them, and they may be lists


class SourceSettings(Settings):
    """The block `source` of a recipe: the origin of the items."""

    path: str = Field("", description="A folder of media, one media file, or a list (txt, csv, tsv, jsonl, parquet).")
    kind: Literal["auto", "folder", "list", "pairs", "pages"] = Field(
        "auto",
        description="What `path` is; auto looks for videos: a folder or a list. pairs: a list of pictures with texts. "
        "pages: MMC4, OBELICS or MINT-1T (jsonl, parquet, tar, or a folder of them).",
    )
    header: tuple[str, ...] = Field(
        (), description="Column names of a csv or tsv without a header (CC3M: caption, url)."
    )
    images_path: str = Field(
        "",
        description="Folder of the pictures of pairs (by path) or pages (by name); empty = the list's folder.",
    )
    files_below: str = added(
        "",
        "Folder below which a list may name files by absolute paths, `..` or file://; empty = only below the list's.",
    )
    recursive: bool = Field(True, description="Search the subfolders of a source folder.")
    extensions: tuple[str, ...] = Field(MEDIA_EXTENSIONS, description="File extensions of media.")
    exclude_ids: str = added(
        "",
        "A file with ids of videos, one a line, that no document may hold; an id, a tab and a number name one clip.",
    )
    include: tuple[str, ...] = Field((), description="Globs on the path in a source folder; empty = everything.")
    exclude: tuple[str, ...] = Field((), description="Globs on the path in a source folder to leave out.")
    url_template: str = Field(YOUTUBE_TEMPLATE, description="URL of an id in a list; {id} is replaced by the id.")
    id_column: str = Field("", description="Column with the video's id; empty = the first usual name.")
    url_column: str = Field("", description="Column with the URL; empty as above.")
    path_column: str = Field("", description="Column with the path, relative to the list's folder; empty as above.")
    title_column: str = Field("", description="Column with the title; empty as above.")
    category_column: str = Field("", description="Column with the category; empty as above.")
    licence_column: str = Field("", description="Column with the licence; empty as above.")
    dataset: str = Field("", description="Name of the dataset the items belong to; goes into every document.")
    licence: str = Field("", description="Licence of items that state none.")

    @field_validator("path", "images_path", "exclude_ids")
    @classmethod
    def _absolute(cls, path: str) -> str:
        """Local paths are kept absolute, so that a build continues from any folder; URLs stay as they are."""
        return path if not path or "://" in path else str(Path(path).expanduser().absolute())

    @field_validator("extensions")
    @classmethod
    def _without_dot(cls, extensions: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(extension.lower().lstrip(".") for extension in extensions)

    @field_validator("url_template")
    @classmethod
    def _has_place_for_id(cls, template: str) -> str:
        if "{id}" not in template:
            raise ValueError("must contain {id}")
        if has_user_info(template):
            raise ValueError("must not contain a user name or password; use download.cookies")
        return template


def scan(settings: SourceSettings, counts: SourceCounts | None = None) -> Iterator[Row]:
    """Rows of the table `collect`, one for each entry of a source, as they are found. Fills `counts` on the way.

    Raises UserError immediately if the source is missing or unreadable, and at the end if it is empty. An id that a
    list names twice gives two rows: the generation keeps the first and counts the others. Pairs of one picture are one
    row with all of its texts.
    """
    if not settings.path:
        raise UserError("the recipe names no source", "set source.path to a folder of videos or a list", code=2)
    source = Path(settings.path).expanduser().absolute()
    if not source.exists():
        raise UserError(f"{settings.path} does not exist", "set source.path to a folder of videos or a list")
    counts = SourceCounts() if counts is None else counts
    return counts.count(_scan(source, settings, counts))


def _scan(source: Path, settings: SourceSettings, counts: SourceCounts) -> Iterator[Row]:
    kind = settings.kind
    if kind in ("pairs", "pages"):
        return _not_empty(_with_defaults(_scan_pictures(source, settings, counts), settings), settings)
    if kind in ("auto", "folder") and pair_tars.holds_videos(source, settings.extensions):
        return _not_empty(_with_defaults(pair_tars.scan(source, pair_tars.FILE), settings), settings)
    if kind == "auto":
        kind = "folder" if source.is_dir() or _is_media(source.name, settings) else "list"
    if kind == "list" and source.is_dir():
        raise UserError(f"source.path {settings.path} is a folder", "set source.kind to folder, or name the list file")
    if kind == "list":
        return _not_empty(_scan_list(source, settings, counts), settings)
    if not source.is_dir():
        return iter([_file_row(source, source.name, settings)])
    try:
        os.scandir(source).close()
    except OSError as error:
        raise UserError(f"cannot list {settings.path}: {error.strerror}", "check its permissions") from error
    return _not_empty(_scan_folder(source.resolve(), settings), settings)


def _not_empty(rows: Iterator[Row], settings: SourceSettings) -> Iterator[Row]:
    row = None
    for row in rows:
        yield row
    if row is None:
        raise UserError(
            f"there is nothing to build in {settings.path}",
            "check source.path (and source.extensions, include, exclude where they are set)",
        )


def _scan_pictures(source: Path, settings: SourceSettings, counts: SourceCounts) -> Iterator[Row]:
    if settings.kind == "pages":
        from interlink.fetch import pages

        return pages.scan(source, settings.images_path)
    from interlink.fetch import pairs

    named = {role: getattr(settings, f"{role}_column") for role in pairs.COLUMNS}
    images = Path(settings.images_path).expanduser().absolute() if settings.images_path else source.parent
    return pairs.scan(source, settings.header, named, images, counts)


def _with_defaults(rows: Iterator[Row], settings: SourceSettings) -> Iterator[Row]:
    for row in rows:
        if row.status == "ok":
            row.fields = {"licence": settings.licence, "dataset": settings.dataset, **row.fields}
        yield row


# -- folders ----------------------------------------------------------------------------------------------------


def _scan_folder(folder: Path, settings: SourceSettings) -> Iterator[Row]:
    unlisted: list[OSError] = []
    for parent, folders, names in os.walk(folder, onerror=unlisted.append):
        folders.sort()
        links = [name for name in folders if Path(parent, name).is_symlink()]
        if not settings.recursive:
            folders.clear()
        for name in sorted(names):
            path = Path(parent, name)
            relative = path.relative_to(folder).as_posix()
            if not _is_media(name, settings) or not _is_wanted(relative, settings):
                continue
            if path.is_symlink() and not _real(path).is_relative_to(folder):
                yield _refused(
                    relative, "a link to a file outside the source folder; copy the file, or name it in a list"
                )
            elif why := irregular(path):
                yield _refused(relative, why)
            else:
                yield _file_row(path, relative, settings)
        for name in links:
            if settings.recursive and not _real(Path(parent, name)).is_relative_to(folder):
                relative = Path(parent, name).relative_to(folder).as_posix()
                yield _refused(relative, "a link to a folder outside the source folder; build it as a separate source")
    for error in unlisted:
        relative = Path(os.fsdecode(error.filename)).relative_to(folder).as_posix()
        yield _refused(relative, f"the folder cannot be listed: {error.strerror}")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # Path.resolve raises on a link that points to itself


def _is_media(name: str, settings: SourceSettings) -> bool:
    return not name.startswith("._") and Path(name).suffix.lower().lstrip(".") in settings.extensions


def _is_wanted(relative: str, settings: SourceSettings) -> bool:
    included = not settings.include or any(fnmatchcase(relative, glob) for glob in settings.include)
    return included and not any(fnmatchcase(relative, glob) for glob in settings.exclude)


def _refused(relative: str, why: str) -> Row:
    return _failed(safe_id(relative, name=Path(relative).stem), "unreadable", f"{_printable(relative)}: {why}")


# -- lists ------------------------------------------------------------------------------------------------------


def _scan_list(path: Path, settings: SourceSettings, counts: SourceCounts) -> Iterator[Row]:
    named = {role: getattr(settings, f"{role}_column") for role in _KNOWN_COLUMNS}
    usual = {name.casefold() for names in _KNOWN_COLUMNS.values() for name in names}
    columns, records = read_list(path, settings.header, usual | {name.casefold() for name in named.values() if name})
    roles = _roles(columns, named, path)

    def rows() -> Iterator[Row]:
        for record in records:
            if isinstance(record, Comment):
                counts.add("comments", f"line {record.line}: {_printable(record.text)}")
            elif isinstance(record, BadLine):
                yield _bad_entry(record.text, f"line {record.line}: {record.message}")
            elif columns:
                yield _record_row(record, roles, path.parent, settings)
            else:  # JSONL: each line has its own columns
                own = _roles(tuple(record.cells), named, None)
                yield _record_row(record, own, path.parent, settings)

    return rows()


def _roles(columns: tuple[str, ...], named: dict[str, str], path: Path | None) -> dict[str, str]:
    """Role -> column. With `path`, raises UserError for a column of the settings that the file does not have."""
    if columns == ("",):
        return {"entry": ""}
    for role, asked in named.items():
        if asked and asked not in columns and path is not None and columns:
            near = difflib.get_close_matches(asked, columns, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"its columns: {', '.join(columns)}"
            raise UserError(f"{path} has no column {asked!r} (source.{role}_column)", hint, code=2)
    found = find_columns(columns, _KNOWN_COLUMNS, named)
    if path is not None and columns and not found.keys() & {"id", "url", "path"}:
        raise UserError(
            f"{path} has no column with ids, URLs or paths; its columns: {', '.join(columns)}",
            "name one in source.id_column, source.url_column or source.path_column",
        )
    return found


def _record_row(record: Record, names: dict[str, str], folder: Path, settings: SourceSettings) -> Row:
    where = f"line {record.line}"
    cells = dict.fromkeys((*_KNOWN_COLUMNS, "entry"), "")
    doubts = [record.doubt] if record.doubt else []
    for role, name in names.items():
        value = record.cells.get(name)
        try:
            cells[role] = ", ".join(known_texts(value)) if role in _DESCRIBING else known_text(value)
        except ValueError as error:
            if role not in _DESCRIBING:
                return _bad_entry(f"{where} {role}", f"{where}: {name or 'it'} {error}")
            doubts.append(f"{name} {error}")
    item_id, url, path, entry = (cells[role] for role in ("id", "url", "path", "entry"))
    if record.guessed and not (item_id + url + path + entry).isascii():
        return _bad_entry(f"{where} {path or url or item_id or entry}", f"{where}: not UTF-8: {record.doubt}")
    if path or url:
        row = _entry_row(path or url, where, folder, settings)
    elif item_id:
        row = _id_row(item_id, where, settings)
    elif entry:
        row = _entry_row(entry, where, folder, settings)
    else:
        text = json.dumps(record.cells, default=str, ensure_ascii=True)
        return _bad_entry(f"{where} {text}", f"{where}: no id, URL or path in {redact_text(text)[:200]}")
    if row.status == "failed":
        return row
    if item_id and (path or url):
        row.id = safe_id(item_id)
        row.fields["video_id"] = item_id
    used = set(names.values())
    rest = {name: value for name, value in record.cells.items() if name not in used}
    row.fields |= {"title": cells["title"], "category": cells["category"], "metadata": metadata(rest)}
    if cells["licence"]:
        row.fields["licence"] = cells["licence"]
    try:
        "".join(row.fields.values()).encode()
    except UnicodeEncodeError:
        return _bad_entry(f"{where} {row.id}", f"{where}: not UTF-8")
    if doubts:
        row.partial, row.message = True, f"{where}: {'; '.join(doubts)}"
    return row


def _entry_row(entry: str, where: str, folder: Path, settings: SourceSettings) -> Row:
    """The row of one path, URL or bare id."""
    if not entry.isprintable():
        return _bad_entry(entry, f"{where}: {_printable(redact_text(entry))!r} has unprintable characters")
    if not os.path.lexists(folder / entry.partition("/")[0]) or entry.startswith("//"):
        entry = completed(entry)
    if entry.lower().startswith("file://"):
        entry = unquote(urlsplit(entry).path)
    elif "://" in entry:
        address = parse_url(entry)
        if address is None:
            return _bad_entry(entry, f"{where}: {redact_text(entry)[:200]!r} is not a URL")
        if has_user_info(address.url):
            return _with_user_info(entry, where)
        item_id = safe_id(address.video_id) if address.video_id else safe_id(address.url, name=address.stem)
        return _row(item_id, "url", address.url, "", address.video_id or item_id, settings)
    try:
        target = folder / Path(entry).expanduser()
    except RuntimeError as error:  # `~name` of nobody here
        return _bad_entry(entry, f"{where}: {redact_text(entry)[:200]!r}: {error}")
    if _is_media(entry, settings) or "/" in entry or os.path.isfile(target):  # noqa: PTH113, Path.is_file may raise
        return _listed_file_row(target, entry, folder, settings)
    return _id_row(entry, where, settings)


def _with_user_info(entry: str, where: str) -> Row:
    message = f"{where}: a URL with a user name or password; keep them in a cookie file (download.cookies)"
    no_real_entry = f"\n{entry}"
    return _failed(safe_id(no_real_entry, name="url"), "unsupported", message)


def _id_row(entry: str, where: str, settings: SourceSettings) -> Row:
    pattern = YOUTUBE_ID if settings.url_template == YOUTUBE_TEMPLATE else SITE_ID
    if not pattern.fullmatch(entry):
        return _bad_entry(entry, f"{where}: {redact_text(entry)[:200]!r} is neither a path, a URL nor an id")
    return _row(safe_id(entry), "url", settings.url_template.replace("{id}", entry), "", entry, settings)


def _listed_file_row(target: Path, entry: str, folder: Path, settings: SourceSettings) -> Row:
    target = Path(os.path.normpath(target))
    if target.is_relative_to(folder):
        return _file_row(target, target.relative_to(folder).as_posix(), settings)
    below = Path(settings.files_below).expanduser().absolute().resolve() if settings.files_below else None
    if below is None or not target.resolve().is_relative_to(below):
        why = "outside the list's folder; set source.files_below to a folder that holds it"
        return _failed(safe_id(entry, name=target.stem), "unreadable", f"{_printable(entry)}: {why}")
    row = _file_row(target, entry, settings)
    row.fields["path"] = target.name  # documents contain no local paths
    return row


# -- rows -------------------------------------------------------------------------------------------------------


def _file_row(path: Path, relative: str, settings: SourceSettings) -> Row:
    item_id = safe_id(relative, name=path.stem)
    try:
        relative.encode()
    except UnicodeEncodeError:
        return _failed(item_id, "unreadable", f"{_printable(relative)}: the file's name is not UTF-8; rename it")
    return _row(item_id, "file", str(path), relative, item_id, settings)


def _row(item_id: str, kind: str, uri: str, path: str, video_id: str, settings: SourceSettings) -> Row:
    fields = {"kind": kind, "uri": uri, "path": path, "video_id": video_id, "title": "", "category": ""}
    return Row(item_id, fields | {"licence": settings.licence, "dataset": settings.dataset, "metadata": "{}"})


def _bad_entry(text: str, message: str) -> Row:
    no_real_entry = f"\n{text}"  # so that it cannot have the id of a valid entry
    return _failed(safe_id(no_real_entry, name=redact_text(text)[:40]), "no_media", _printable(message))


def _failed(item_id: str, error_class: str, message: str) -> Row:
    return Row(item_id, status="failed", error_class=error_class, message=message)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
