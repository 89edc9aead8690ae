"""shard: documents and their images become tars of a target size, with an index each.

Works on a whole run of partitions, so that a retry or a take-down rewrites that run's shards and no other. Costs one
read of the images, a sha256 of them twice (as a blob, as a shard) and one write; holds one document's images at a time.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from interlink.errors import StageError
from interlink.settings import Settings, added
from interlink.shards import tar
from interlink.shards.document import File, load
from interlink.shards.names import is_of_run, run_of, shard_name
from interlink.shards.writer import ShardWriter
from interlink.stage import Context, Item, Resources, Row, Stage, failed

_NEAR = 4  # a span of a blob file is read at once when it is at most this many times as long as what is wanted of it


class _Room:
    """Memory for the bytes of one document, used again for the next, which costs less than fresh memory."""

    def __init__(self) -> None:
        self._block = memoryview(bytearray(2**20))
        self._taken = 0

    def clear(self) -> None:
        """What was taken may be overwritten from now on."""
        self._taken = 0

    def take(self, size: int) -> memoryview:
        if self._taken + size > len(self._block):  # what was taken keeps the block before alive
            self._block = memoryview(bytearray(max(size, 2 * len(self._block))))
            self._taken = 0
        self._taken += size
        return self._block[self._taken - size : self._taken]


class ShardSettings(Settings):
    """How large shards are."""

    target_megabytes: int = Field(128, ge=1, description="a shard is cut before the document that would make it larger")
    clip_files: bool = added(
        False, "put the clips' mp4 and sound into the shards, where keyframes made them (keyframes.clip_files)"
    )


class Shard(Stage):
    """The shards of one run of partitions, `shards/<fingerprint>/<run>-<nnn>.tar`."""

    name: ClassVar[str] = "shard"
    version: ClassVar[int] = 1
    scope: ClassVar[Literal["item", "run", "build"]] = "run"
    settings_class: ClassVar[type[Settings]] = ShardSettings

    def __init__(self, settings: ShardSettings, context: Context) -> None:
        super().__init__(settings, context)
        self.clip_files = settings.clip_files
        self.target_bytes = settings.target_megabytes * 2**20
        self._room = _Room()

    @staticmethod
    def needs(settings: ShardSettings) -> tuple[str, ...]:
        return ("interleave", "keyframes")

    @staticmethod
    def resources(settings: ShardSettings) -> Resources:
        return Resources(cpus=0.5)

    def columns(self) -> dict[str, tuple[str, ...]]:
        wanted = ("start", "frames.image", *(("video", "audio") if self.clip_files else ()))
        return {"interleave": ("documents",), "keyframes": tuple(f"clips.{field}" for field in wanted)}

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        """All items of one run, in order. Rows come at the end, when every shard of the run is committed."""
        first = next(items, None)
        if first is None:
            return
        folder = f"shards/{self.context.fingerprints[self.name]}"
        run = run_of(first.partition)
        root = self.context.root
        with root.committing():  # a shard that cannot be written is no failure of its items
            with ShardWriter(root, folder, lambda number: shard_name(run, number), self.target_bytes) as writer:
                rows = [self._item(first, writer)]
                rows += [self._item(item, writer) for item in items]
            self._remove_stale(folder, run, writer.names)
        yield from rows

    def _item(self, item: Item, writer: ShardWriter) -> Row:
        """Adds an item's documents. One with damaged frames is left out: the row is partial, or failed if none is left.

        Storage that does not answer is no single item's fault: StageError `network` ends the run, to be done anew.
        """
        placed: list[dict[str, str]] = []
        fault: Exception | None = None
        for document in item.rows["interleave"]["documents"]:
            self._room.clear()
            try:
                images = self._images(item, document["images"])
                told, files = self._with_files(item, document["document"])
            except StageError as error:
                if error.error_class == "network":
                    raise
                fault = error
                continue
            members: list[tuple[str, tar.Data]] = [("json", told.encode()), *images, *files]
            shard = writer.add(document["key"], members, len(images), document["clips"], document["text_tokens"])
            placed.append({"shard": shard, "key": document["key"]})
        if fault is not None and not placed:
            return failed(item.id, fault)
        return Row(item.id, {"shards": placed}, partial=fault is not None, message=str(fault or ""))

    def _images(self, item: Item, wanted: list[Mapping[str, Any]]) -> list[tuple[str, tar.Data]]:
        """The JPEGs of one document by name; those that lie close together in a blob file by one read.

        Raises StageError `unreadable` where bytes are missing or not what was committed, `network` where storage fails.
        """
        clips = item.rows["keyframes"]["clips"]
        named = [(image["name"], clips[image["clip"]]["frames"][image["frame"]]["image"]) for image in wanted]
        return self._read(item, named)

    def _with_files(self, item: Item, told: str) -> tuple[str, list[tuple[str, tar.Data]]]:
        """A document's JSON with its clips' files named in it, and those files, if wanted. Raises as `_images` does."""
        if not self.clip_files:
            return told, []
        document = load(told)
        made = {round(clip["start"], 6): clip for clip in item.rows["keyframes"]["clips"]}
        members: list[tuple[str, tar.Data]] = []
        for number, clip in enumerate(document.clips):
            row = made.get(round(clip.start, 6))
            for column in ("video", "audio"):
                one = row[column] if row else None
                if one is None or one["file"] is None:
                    continue
                name = f"c{number}.{'mp4' if column == 'video' else one['how']}"
                # One by one: between the files of two clips lie their frames.
                members += self._read(item, [(name, one["file"])])
                clip.files = [*(clip.files or ()), File(name=name, how=one["how"], start=one["start"], end=one["end"])]
        return document.dump(), members

    def _read(self, item: Item, named: list[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, tar.Data]]:
        """Committed bytes by name."""
        references = [reference for _, reference in named]
        found: list[tuple[str, tar.Data]] = []
        try:
            spans = {blob: self._span(item, blob, references) for blob in sorted({r["blob"] for r in references})}
            for name, reference in named:
                span = spans[reference["blob"]]
                if span is None:
                    data: tar.Data = item.blob("keyframes", reference)
                else:
                    begin = reference["offset"] - span[0]
                    # a view: nothing is copied until the tar is put together
                    data = span[1][begin : begin + reference["size"]]
                if hashlib.sha256(data).hexdigest() != reference["sha256"]:
                    raise StageError("unreadable", f"member {name}: bytes in {reference['blob']} have changed")
                found.append((name, data))
        except (FileNotFoundError, EOFError) as error:
            raise StageError("unreadable", f"a committed frame is gone: {error}") from error
        except (OSError, TimeoutError) as error:
            raise StageError("network", f"frames cannot be read: {type(error).__name__}: {error}") from error
        return found

    def _span(self, item: Item, blob: str, references: list[Mapping[str, Any]]) -> tuple[int, memoryview] | None:
        """(offset, bytes) that hold all references into `blob`, or None where most of it would be read in vain."""
        inside = [r for r in references if r["blob"] == blob]
        begin = min(r["offset"] for r in inside)
        end = max(r["offset"] + r["size"] for r in inside)
        if end - begin > _NEAR * sum(r["size"] for r in inside):
            return None
        path = f"{item.folders['keyframes']}/{blob}"
        room = self._room.take(end - begin)
        item.context.root.read_into(path, begin, room)
        return begin, room

    def _remove_stale(self, folder: str, run: str, names: list[str]) -> None:
        """Files of this run that an earlier, larger version of it has left."""
        for name in self.context.root.names(folder):
            stem = name.partition(".")[0]
            if is_of_run(name, run) and f"{stem}.tar" not in names:
                self.context.root.delete(f"{folder}/{name}")
