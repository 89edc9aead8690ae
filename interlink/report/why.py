"""One id through a build: each stage's outcome with its reason, attempts and seconds, the scores and thresholds in the
tables, which frames stand for it, and where its documents lie.

Reads the ids of the generations, one partition of each table, and the index of the shards that hold its documents.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from interlink.errors import UserError
from interlink.fetch.exclusions import named_item
from interlink.ids import nearest, safe_id
from interlink.recipe import StageBlock
from interlink.redaction import redact_text
from interlink.report.visible import visible
from interlink.runtime.partition import OPEN
from interlink.runtime.workspace import Workspace
from interlink.settings import Settings, marks_of
from interlink.shards import index
from interlink.shards.names import document_keys
from interlink.storage import Storage
from interlink.tables import COMMON

LONGEST = 160  # characters of a value in a line
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PLAIN = (str, int, float, bool)


@dataclass(frozen=True)
class Step:
    """What one stage did. outcome: ok, partial, dropped, failed, pending (it is this stage's turn), or unreached.

    why: reason of a drop, class of a failure. facts: the row's plain columns, and the lengths of its lists. settings:
    the thresholds and limits that had a part in its row; none where it failed or was not reached.
    """

    stage: str
    outcome: str
    why: str = ""
    message: str = ""
    attempts: int = 0
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Frame:
    """A frame that was kept of a clip: its scores, where its JPEG lies (bytes of a file below the root), and the
    documents it is in (`key.name`)."""

    number: int
    time: float
    width: int
    height: int
    sharpness: float
    novelty: float
    file: str
    offset: int
    size: int
    used: tuple[str, ...]


@dataclass(frozen=True)
class Clip:
    """A clip with its frames and what other stages say of it (`stage.column`). documents: those it is in."""

    number: int
    start: float
    end: float
    frames: tuple[Frame, ...]
    facts: dict[str, Any]
    documents: tuple[str, ...]


@dataclass(frozen=True)
class Placed:
    """Where a document lies: bytes [offset, offset + size) of a shard; problem: why that is unknown."""

    key: str
    shard: str
    offset: int = 0
    size: int = 0
    problem: str = ""


@dataclass(frozen=True)
class Why:
    """Everything known of an item."""

    id: str
    title: str
    partition: str
    steps: tuple[Step, ...]
    clips: tuple[Clip, ...]
    documents: tuple[Placed, ...]

    @property
    def stopped(self) -> str:
        """The first stage that dropped or failed it; empty where none did."""
        return next((step.stage for step in self.steps if step.outcome in ("dropped", "failed")), "")

    @property
    def verdict(self) -> str:
        """One line: its documents, or what stopped it."""
        if self.documents:
            return f"in {len(self.documents)} document{'s' if len(self.documents) > 1 else ''}"
        for step in self.steps:
            if step.stage == self.stopped:
                return f"no document: {step.outcome} at {step.stage} ({step.why})"
            if step.outcome == "pending":
                return f"no document yet: {step.stage} has not done it"
        return "no document: no stage of this recipe makes one"

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "verdict": self.verdict}

    def lines(self) -> Iterator[str]:
        """The same for people."""
        return map(visible, self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.id}{f'   {self.title}' if self.title else ''}   (partition {self.partition})"
        for step in self.steps:
            yield from _step_lines(step)
        for clip in self.clips:
            where = ", ".join(clip.documents) or "in no document"
            yield f"  clip {clip.number}  {clip.start:.2f}–{clip.end:.2f} s  {where}"
            for name, value in clip.facts.items():
                yield f"    {name}: {_short(value)}"
            for frame in clip.frames:
                yield (
                    f"    frame {frame.number}  {frame.time:.2f} s  {frame.width}×{frame.height}  "
                    f"sharpness {frame.sharpness:g}  novelty {frame.novelty:g}  "
                    f"{', '.join(frame.used) or 'unused'}  {frame.file} bytes {frame.offset}+{frame.size}"
                )
        for placed in self.documents:
            where = placed.problem or f"{placed.shard} bytes {placed.offset}+{placed.size}"
            yield f"  document {placed.key}  {where}"
        yield self.verdict


def why(
    workspace: Workspace, blocks: Sequence[StageBlock], prints: Mapping[str, str], shards_folder: str, name: str
) -> Why:
    """All that is known of `name`: the id of an item, the key of a document, a video's own id, a path or a URL.

    prints: stage -> fingerprint of the tables to look into. Raises UserError with the nearest ids where it is none.
    """
    item, partition = _find(workspace, name)
    source = workspace.source_rows(partition)[item]
    rows: dict[str, dict[str, Any]] = {"collect": source}
    folders: dict[str, str] = {}
    facts = _facts(source)
    steps = [
        Step("collect", source["status"], source["error_class"] or source["reason"], source["message"], facts=facts)
    ]
    for block in blocks:
        if block.name not in prints:
            continue
        schema = block.cls.table_schema(block.name)
        store = workspace.partition(block.name, prints[block.name], partition, schema)
        entry = store.load().entries.get(item)
        stopped = [table for table in ("collect", *block.needs) if table not in rows or rows[table]["status"] != "ok"]
        if entry is None or entry.row["status"] == OPEN:
            outcome, message = ("unreached", f"{stopped[0]} is not ok") if stopped else ("pending", "")
            steps.append(Step(block.name, outcome, message=message))
            continue
        row = entry.row
        settings = (
            {} if row["status"] == "failed" else _thresholds(block.settings, block.cls.idle(block.settings, rows))
        )
        rows[block.name], folders[block.name] = row, store.folder
        outcome = "partial" if row["status"] == "ok" and row["partial"] else row["status"]
        reason = row["error_class"] or row["reason"] or ""
        seconds = round(entry.seconds, 4)
        steps.append(
            Step(block.name, outcome, reason, row["message"] or "", entry.attempts, seconds, _facts(row), settings)
        )
    clips = tuple(_clips(rows, folders.get("keyframes", "")))
    placed = tuple(_placed(workspace.storage, shards_folder, rows.get("shard", {})))
    title = source["title"] or (rows.get("download") or {}).get("title") or ""
    return Why(item, title, partition, tuple(steps), clips, placed)


def draw(storage: Storage, found: Why, folder: Path) -> Path | None:
    """Writes `<id>.png`: clip by clip the frames with their scores, and which were used. None without frames."""
    from interlink.report.pictures import draw_document

    images: dict[str, bytes] = {}
    segments: list[dict[str, Any]] = []
    for clip in found.clips:
        names = [f"{clip.number}.{frame.number}" for frame in clip.frames]
        for name, frame in zip(names, clip.frames, strict=True):
            try:
                images[name] = storage.read_range(frame.file, frame.offset, frame.size)
            except (FileNotFoundError, EOFError) as error:
                raise UserError(f"a frame of {found.id} cannot be read: {error}", "build it again") from error
        if names:
            segments.append({"type": "frames", "images": names, "times": [frame.time for frame in clip.frames]})
        scores = "; ".join(
            f"sharpness {frame.sharpness:g}, novelty {frame.novelty:g}, {', '.join(frame.used) or 'unused'}"
            for frame in clip.frames
        )
        where = ", ".join(clip.documents) or "in no document"
        span = f"{clip.start:.2f} to {clip.end:.2f} s, {where}. {scores}"
        segments.append({"type": "text", "role": f"clip {clip.number}", "text": span})
        for name, value in clip.facts.items():
            segments.append({"type": "text", "role": name, "text": _short(value)})
    if not images:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{safe_id(found.id)}.png"
    title = ", ".join(part for part in (found.title, found.verdict) if part)
    draw_document({"id": found.id, "source": {"title": title}, "segments": segments}, images, path)
    return path


def _find(workspace: Workspace, name: str) -> tuple[str, str]:
    """(id, partition) of what `name` names: ids first, then keys of documents, then what the source calls it."""
    stem = re.sub(r"-\d{3,7}$", "", name)
    by_key: tuple[str, str] | None = None
    by_source: tuple[str, str] | None = None
    names: dict[str, str] = {}  # id, path, video's id or URL -> id
    addressed = named_item(name)
    counted = (counted for generation in workspace.generations for counted in generation.partitions)
    places = (partition for partition, count in counted for _ in range(count))
    for partition, row in zip(places, workspace.source_columns(["id", "video_id", "path", "uri"]), strict=True):
        item, *others = row.values()
        if item == name:
            return item, partition
        if by_key is None and document_keys(item, 1)[0] in (name, stem):
            by_key = item, partition
        if by_source is None and (item == addressed or name in others or name == Path(others[1] or "").stem):
            by_source = item, partition
        names |= {redact_text(other): item for other in (*others, item) if other}
    if found := by_key or by_source:
        return found
    close: dict[str, str] = {}
    for like in nearest(name, list(names)):
        close.setdefault(names[like], like)
    near = [item if item == like else f"{item} ({like})" for item, like in close.items()]
    hint = (
        f"nearest: {', '.join(near)}"
        if near
        else "`interlink status --rows` lists the ids that failed, were dropped or are partial"
    )
    raise UserError(f"{workspace.storage.url} has no item or document {name!r}", hint, 2)


def _facts(row: Mapping[str, Any]) -> dict[str, Any]:
    """The plain columns of a row that say something, and how long its lists are."""
    common = {name for name, _ in COMMON}
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name in common or value in (None, "", "{}"):
            continue
        if isinstance(value, _PLAIN):
            found[name] = redact_text(value) if isinstance(value, str) else value
        elif isinstance(value, list):
            found[name] = len(value)
    return found


def _thresholds(settings: Settings, idle: Set[str] = frozenset(), prefix: str = "") -> dict[str, Any]:
    """The numbers and switches of a stage's block that have a part in its rows. idle: fields without one in this row.

    A switch, number or limit that is off by default, and is off, has no part.
    """
    found: dict[str, Any] = {}
    unread = settings.unread() | idle
    for name, info in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name in unread or marks_of(info).operational:
            continue
        if isinstance(value, Settings):
            found |= _thresholds(value, prefix=f"{prefix}{name}.")
        elif isinstance(value, int | float) and (value or value != info.get_default(call_default_factory=True)):
            found[f"{prefix}{name}"] = value
    return found


def _clips(rows: Mapping[str, Mapping[str, Any]], folder: str) -> Iterator[Clip]:
    """The clips of the keyframes table, with what later tables say of each and the documents that hold it."""
    clips = rows.get("keyframes", {}).get("clips") or []
    made = rows.get("interleave", {}).get("documents") or []
    used: dict[tuple[int, int], list[str]] = {}
    spans: dict[tuple[float, float], list[str]] = {}
    for document in made:
        for image in document["images"]:
            used.setdefault((image["clip"], image["frame"]), []).append(f"{document['key']}.{image['name']}")
        for clip in json.loads(document["document"])["clips"]:
            spans.setdefault((clip["start"], clip["end"]), []).append(document["key"])
    for number, clip in enumerate(clips):
        frames = tuple(
            Frame(
                n,
                frame["time"],
                frame["width"],
                frame["height"],
                frame["sharpness"],
                frame["novelty"],
                f"{folder}/{frame['image']['blob']}",
                frame["image"]["offset"],
                frame["image"]["size"],
                tuple(used.get((number, n), ())),
            )
            for n, frame in enumerate(clip["frames"])
        )
        facts = {name: value for table in rows for name, value in _of_clip(table, rows[table], number, len(clips))}
        holders = tuple(spans.get((round(clip["start"], 6), round(clip["end"], 6)), ()))
        yield Clip(number, clip["start"], clip["end"], frames, facts, holders)


def _of_clip(table: str, row: Mapping[str, Any], number: int, count: int) -> Iterator[tuple[str, Any]]:
    """What a table holds of one clip: entries that name it (`clip`), or lists that run along with the clips."""
    for column, value in row.items():
        if table == "keyframes" and column == "clips":
            continue
        if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
            continue
        named = [entry for entry in value if entry.get("clip") == number]
        if not named and len(value) == count and all("clip" not in entry for entry in value) and column == "clips":
            named = [value[number]]
        for entry in named:
            for name, value in entry.items():
                if name != "clip" and isinstance(value, _PLAIN) and value != "":
                    yield f"{table}.{name}", value


def _placed(storage: Storage, folder: str, row: Mapping[str, Any]) -> Iterator[Placed]:
    for placed in row.get("shards") or ():
        path = f"{folder}/{placed['shard']}"
        try:
            entries = {entry.key: entry for entry in index.read(storage, path).entries}
        except UserError as error:
            yield Placed(placed["key"], path, problem=error.what)
            continue
        if entry := entries.get(placed["key"]):
            yield Placed(entry.key, path, entry.offset, entry.size)
        else:
            yield Placed(placed["key"], path, problem=f"{path} does not hold it")


def _step_lines(step: Step) -> Iterator[str]:
    parts = [step.outcome + (f" {step.why}" if step.why else "")]
    if step.attempts:
        parts.append(f"{step.attempts} attempt{'s' if step.attempts > 1 else ''}, {step.seconds:.2f} s")
    if step.message:
        parts.append(step.message.split("\n")[0])
    yield f"  {step.stage:<11} {'   '.join(parts)}"
    for title, content in (("", step.facts), ("settings: ", step.settings)):
        if content:
            text = "  ".join(f"{name} {_short(value)}" for name, value in content.items())
            yield f"  {'':<11} {title}{text}"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    if _DIGEST.fullmatch(text):
        return f"{text[:12]}…"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
