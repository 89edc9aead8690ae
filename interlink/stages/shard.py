"""shard: packs documents and their images into tars of a target size, each with an index.

Works on a whole run of partitions, so that a retry or a take-down rewrites only that run's shards. Costs one read of
the images, two sha256 sums (of blobs and of shards) and one write. Memory: the images of one document.
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

_NEAR = 4  # a span of a blob file is read at once if it is at most this many times as long as the bytes needed


class _Room:
    """A buffer for the bytes of one document, reused for the next one, which costs less than fresh memory."""

    def __init__(self) -> None:
        self._block = memoryview(bytearray(2**20))
        self._taken = 0

    def clear(self) -> None:
        """Frees the buffer: bytes taken so far may be overwritten."""
        self._taken = 0

    def take(self, size: int) -> memoryview:
        if self._taken + size > len(self._block):  # views of the old block keep it alive
            self._block = memoryview(bytearray(max(size, 2 * len(self._block))))
            self._taken = 0
        self._taken += size
        return self._block[self._taken - size : self._taken]


class ShardSettings(Settings):
    """The size and content of shards."""

    target_megabytes: int = Field(
        128, ge=1, description="target size of a shard; the document that would exceed it begins the next one"
    )
    clip_files: bool = added(
        False, "put the clips' video and sound files into the shards, if keyframes made them (keyframes.clip_files)"
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
        """Packs all items of one run, in order. Yields rows at the end, when every shard of the run is committed."""
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
        """Adds an item's documents, without those with damaged frames: the row is partial, or failed if none is left.

        Storage that does not answer is not the item's fault: StageError `network` ends the run, which is then retried.
        """
        placed: list[dict[str, str]] = []
        fault: Exception | None = None
        for document in item.rows["interleave"]["documents"]:
            self._room.clear()
            try:
                images = self._images(item, document["images"])
                text, files = self._with_files(item, document["document"])
            except StageError as error:
                if error.error_class == "network":
                    raise
                fault = error
                continue
            members: list[tuple[str, tar.Data]] = [("json", text.encode()), *images, *files]
            shard = writer.add(document["key"], members, len(images), document["clips"], document["text_tokens"])
            placed.append({"shard": shard, "key": document["key"]})
        if fault is not None and not placed:
            return failed(item.id, fault)
        return Row(item.id, {"shards": placed}, partial=fault is not None, message=str(fault or ""))

    def _images(self, item: Item, wanted: list[Mapping[str, Any]]) -> list[tuple[str, tar.Data]]:
        """The JPEGs of one document by name. Images close together in a blob file are read at once.

        Raises StageError `unreadable` where bytes are missing or have changed, `network` where storage fails.
        """
        clips = item.rows["keyframes"]["clips"]
        named = [(image["name"], clips[image["clip"]]["frames"][image["frame"]]["image"]) for image in wanted]
        return self._read(item, named)

    def _with_files(self, item: Item, text: str) -> tuple[str, list[tuple[str, tar.Data]]]:
        """A document's JSON with the names of its clips' files, and those files, if wanted. Raises like `_images`."""
        if not self.clip_files:
            return text, []
        document = load(text)
        made = {round(clip["start"], 6): clip for clip in item.rows["keyframes"]["clips"]}
        members: list[tuple[str, tar.Data]] = []
        for number, clip in enumerate(document.clips):
            row = made.get(round(clip.start, 6))
            for column in ("video", "audio"):
                one = row[column] if row else None
                if one is None or one["file"] is None:
                    continue
                name = f"c{number}.{'mp4' if column == 'video' else one['how']}"
                # One by one: the files of two clips have frames between them.
                members += self._read(item, [(name, one["file"])])
                clip.files = [*(clip.files or ()), File(name=name, how=one["how"], start=one["start"], end=one["end"])]
        return document.dump(), members

    def _read(self, item: Item, named: list[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, tar.Data]]:
        """The committed bytes by name, with their checksums verified."""
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
                    # a view: nothing is copied before the tar is written
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
        """(offset, bytes) that hold all references into `blob`, or None where most of the bytes would be unused."""
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
        """Removes files of this run that an earlier, larger version of it left."""
        for name in self.context.root.names(folder):
            stem = name.partition(".")[0]
            if is_of_run(name, run) and f"{stem}.tar" not in names:
                self.context.root.delete(f"{folder}/{name}")
