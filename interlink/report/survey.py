"""Looks at a source before its first build: what it holds, what the recipe makes of it, what is missing, what adds it.

Costs the headers of a few files, and a minute of sound of each for the speech (0.3 s), where silero-vad is installed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from interlink.errors import StageError, UserError
from interlink.recipe import Recipe
from interlink.report.advice import remedies
from interlink.report.lines import count

LOOKED_AT = 8  # files, spread over the source
LISTED = 100_000  # entries that are counted; a longer source is "more than"
HEARD_SECONDS = 60  # of each file
SPEECH_SHARE = 0.05  # of the sound, from which somebody counts as speaking


@dataclass
class Survey:
    """What was found. items: entries of the source by kind (file, url, pair, page, failed); media: files looked at."""

    path: str
    items: Counter[str] = field(default_factory=Counter)
    more: bool = False  # whether the source is longer than what was counted
    hosts: Counter[str] = field(default_factory=Counter)
    media: int = 0
    unreadable: list[str] = field(default_factory=list)
    seconds: float = 0.0
    sound: int = 0
    subtitled: int = 0
    languages: Counter[str] = field(default_factory=Counter)
    speaks: int | None = None  # of those with sound; None: it was not listened

    def lines(self, recipe: Recipe) -> list[str]:
        """The survey in words, with the commands that add what is missing."""
        found = [f"source: {self.path}: {self._counted()}"]
        if self.hosts:
            found.append(f"  from {', '.join(f'{host} ({number:,})' for host, number in self.hosts.most_common(3))}")
        if self.media:
            found.append(f"  looked at {count(self.media, 'file')} ({self.seconds / 60:.1f} minutes): {self._heard()}")
        found += [f"  {message}" for message in self.unreadable[:3]]
        found.append(f"recipe: {recipe.name}: {_plan(recipe)}")
        silent = self.media - self.subtitled
        options = remedies(recipe, speech=self.speaks != 0)
        if self.media and silent > self.media / 2 and options:
            found.append(f"missing: {silent} of {self.media} have no subtitles, so they get no text and no document")
            found += [f"  {option}" for option in options]
        return found

    def _counted(self) -> str:
        names = {"file": "video", "url": "address", "pair": "picture", "page": "page", "failed": "unreadable entry"}
        plural = {"address": "addresses", "unreadable entry": "unreadable entries"}
        parts = []
        for kind, number in self.items.items():
            name = names[kind]
            parts.append(f"{number:,} {name if number == 1 else plural.get(name, name + 's')}")
        return ("more than " if self.more else "") + (", ".join(parts) or "nothing")

    def _heard(self) -> str:
        tongues = f" ({', '.join(f'{name} {number}' for name, number in self.languages.most_common(4))})"
        parts = [f"sound in {self.sound}", f"subtitles for {self.subtitled}{tongues if self.languages else ''}"]
        if self.speaks is not None:
            parts.append(f"somebody speaks in {self.speaks}")
        return ", ".join(parts)


def survey(recipe: Recipe) -> Survey:
    """Looks at the recipe's source. Raises UserError where it is missing or unreadable."""
    from interlink.stages.collect import scan

    source = recipe.base.source
    found = Survey(source.path)
    files: list[Mapping[str, Any]] = []
    for number, row in enumerate(scan(source)):
        if number >= LISTED:
            found.more = True
            break
        kind = "failed" if row.status == "failed" else row.fields["kind"]
        found.items[kind] += 1
        if kind == "url":
            found.hosts[urlsplit(row.fields["uri"]).hostname or "?"] += 1
        if kind == "file":
            files.append(row.fields)
    step = max(1, len(files) // LOOKED_AT)
    chosen = list(islice(files[::step], LOOKED_AT))
    if chosen:
        _look(found, [Path(file["uri"]) for file in chosen], recipe)
    return found


def _look(found: Survey, paths: list[Path], recipe: Recipe) -> None:
    from interlink.fetch.local import Sidecars
    from interlink.media.audio import heard_stream
    from interlink.media.probe import describe, open_media

    sidecars, listener = Sidecars(recipe.base.source.extensions), _listener()
    found.speaks = None if listener is None else 0
    try:
        for path in paths:
            try:
                with open_media(path) as container:
                    probe = describe(container, path)
                    found.media += 1
                    found.seconds += probe.duration or 0.0
                    tracks = [stream for stream in probe.streams if stream.kind == "subtitle"]
                    languages = {subtitle.language for subtitle in sidecars.find(path.parent, path.stem)[0]}
                    languages |= {stream.language for stream in tracks}
                    found.subtitled += bool(languages)
                    found.languages.update(languages - {"", "und"})
                    stream = heard_stream(probe)
                    found.sound += stream is not None
                    if listener is not None and stream is not None:
                        found.speaks = (found.speaks or 0) + _speaks(listener, container, stream)
            except StageError as error:
                found.unreadable.append(str(error))
    finally:
        if listener is not None:
            listener.close()


def _listener() -> Any:
    """An open detector of speech, or None where its packages are missing."""
    from interlink.engines.listen import Listener

    try:
        Listener.check()
        listener = Listener()
        listener.open()
    except UserError:
        return None
    return listener


def _speaks(listener: Any, container: Any, stream: Any) -> bool:
    from interlink.engines.listen import BLOCK
    from interlink.media.audio import RATE, Audio

    audio = Audio(container, stream, BLOCK)
    hearing = listener.hear()
    blocks: Iterator[Any] = islice(audio, max(1, HEARD_SECONDS * RATE // BLOCK))
    for _ in hearing.utterances(blocks, lambda: audio.start):
        pass
    return bool(hearing.shares.speech >= SPEECH_SHARE)


def _plan(recipe: Recipe) -> str:
    """What the recipe does, stage by stage, with the engines that shape the text."""
    shown = []
    for block in recipe.blocks:
        engine = next((getattr(block.settings, key) for key in ("segmenter", "recogniser", "engine", "policy")
                       if isinstance(getattr(block.settings, key, None), str)), "")  # fmt: skip
        shown.append(f"{block.name} ({engine})" if engine not in ("", "none") else block.name)
    return " → ".join(shown)
