"""transcribe: what is said in a video and when, from its sidecar subtitles or the subtitle tracks inside it.

Costs milliseconds with a sidecar; without one, a read of the media file (nothing is decoded).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from interlink.stage import Context, Item, PerItem, Resources, Row, Settings

if TYPE_CHECKING:
    from interlink.media.subtitles import Subtitles

# ISO 639-2 codes, as containers write them, of common languages -> ISO 639-1, as subtitle files are named.
PAIRS = (
    "eng=en spa=es deu=de ger=de fra=fr fre=fr ita=it por=pt nld=nl dut=nl rus=ru ukr=uk pol=pl ces=cs cze=cs tur=tr "
    "ara=ar heb=he hin=hi ben=bn jpn=ja kor=ko zho=zh chi=zh vie=vi tha=th ind=id swe=sv nor=no nob=nb dan=da fin=fi "
    "ell=el gre=el hun=hu ron=ro rum=ro bul=bg hrv=hr srp=sr slk=sk slo=sk slv=sl lit=lt lav=lv est=et fas=fa per=fa"
)
SHORT = dict(pair.split("=") for pair in PAIRS.split())


class TranscribeSettings(Settings):
    languages: tuple[str, ...] = Field(("en",), description="wanted languages, the best first (en also takes en-US)")
    any_language: bool = Field(True, description="take another language where none of `languages` is there")


class Transcribe(PerItem):
    """One row per video: its sentences with times. The schema is tables.TRANSCRIBE.

    The first source that gives cues is taken: sidecar files in the order of `languages`, then files that do not say
    their language, then (with `any_language`) the others; the tracks inside the container likewise. Where there is none
    the row is ok, its source `none` and its sentences empty.
    """

    name: ClassVar[str] = "transcribe"
    version: ClassVar[int] = 1
    isolated: ClassVar[bool] = True
    settings_class: ClassVar[type[Settings]] = TranscribeSettings

    def __init__(self, settings: TranscribeSettings, context: Context) -> None:
        self.settings = settings

    @staticmethod
    def needs(settings: TranscribeSettings) -> tuple[str, ...]:
        return ("download",)

    @staticmethod
    def resources(settings: TranscribeSettings) -> Resources:
        return Resources(cpus=0.5)

    def deadline(self, item: Item) -> float:
        return 60.0 + 0.2 * (item.rows["download"].get("size") or 0) / 1e6  # a slow disk reads 5 MB/s

    def process(self, item: Item) -> Row:
        lost: list[str] = []
        return self._sidecar(item, lost) or self._embedded(item, lost) or _row(item.id, "none", "", "", None, lost)

    def _sidecar(self, item: Item, lost: list[str]) -> Row | None:
        from interlink.media.subtitles import is_chapters, parse

        files = [each for each in item.rows["download"]["subtitles"] or [] if not is_chapters(each["name"])]
        for file in self._ranked(files, [each["language"] or "" for each in files]):
            found = parse(item.blob("download", file["data"]))
            if found.cues:
                return _row(item.id, "sidecar", file["language"] or "", file["name"], found, lost)
            lost.append(f"{file['name']}: no cue could be read")
        return None

    def _embedded(self, item: Item, lost: list[str]) -> Row | None:
        from interlink.media.probe import describe, local_media, open_media
        from interlink.media.tracks import read_track, text_tracks

        with local_media(item) as path, open_media(path) as container:
            tracks = text_tracks(describe(container, path), container)
            for track in self._ranked(tracks, [track.language for track in tracks]):
                found = read_track(container, track)
                if found.cues:
                    return _row(item.id, "embedded", _short(track.language), f"stream {track.index}", found, lost)
                lost += [f"stream {track.index}: {problem}" for problem in found.problems]
        return None

    def _ranked(self, sources: list[Any], languages: list[str]) -> list[Any]:
        """Those whose language is allowed, the best first, else in their own order."""
        wanted = [_short(language) for language in self.settings.languages]
        ranked = []
        for source, language in zip(sources, (_short(language) for language in languages), strict=True):
            if language in wanted:
                ranked.append((wanted.index(language), source))
            elif not language:
                ranked.append((len(wanted), source))
            elif self.settings.any_language:
                ranked.append((len(wanted) + 1, source))
        return [source for _, source in sorted(ranked, key=lambda pair: pair[0])]


def _row(item_id: str, source: str, language: str, name: str, found: Subtitles | None, lost: list[str]) -> Row:
    from interlink.media.sentences import sentences_of, words_of

    sentences = sentences_of(words_of(found.cues)) if found else []
    said = lost + [f"{name}: {problem}" for problem in (found.problems if found else [])]
    shown = [*said[:5], *([f"and {len(said) - 5} more"] if len(said) > 5 else [])]
    fields = {
        "source": source,
        "language": language,
        "name": name,
        "sentences": [{"text": each.text, "start": each.start, "end": each.end} for each in sentences],
    }
    return Row(item_id, fields, partial=bool(said), message="; ".join(shown))


def _short(language: str) -> str:
    """The primary part of a language tag, in its two-letter form where there is one; empty for `und`."""
    primary = language.replace("_", "-").split("-")[0].casefold()
    return "" if primary == "und" else SHORT.get(primary, primary)
