"""What a recogniser heard in a stretch of speech, how sure it is of it, and whether it is kept.

Whisper invents text where nobody speaks ("you", "Thank you."). Its own measures tell most of it: the thresholds are
those of its authors, and the rule for stock phrases was measured on music, noise and silence
(docs/explanation/speech.md). Costs microseconds.
"""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from interlink.settings import Settings
from interlink.subtitles.cues import Cue, Line, Token, plain
from interlink.text.words import words as words_of

# Phrases that Whisper writes over sound without speech, folded and without punctuation.
STOCK = (
    "thank you for watching", "thanks for watching", "thank you so much for watching", "thank you very much",
    "thank you so much", "thank you", "thanks", "please subscribe", "like and subscribe", "subscribe to my channel",
    "see you next time", "see you in the next video", "bye bye", "bye", "you", "the",
    "subtitles by the amara org community", "untertitel der amara org community",
    "sous titres réalisés par la communauté d'amara org", "sous titrage st 501", "gracias por ver el video",
    "gracias", "продолжение следует", "спасибо за просмотр", "субтитры сделал dimatorzok",
    "ご視聴ありがとうございました", "字幕由amara org社区提供", "谢谢观看",
    "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目",
    "시청해주셔서 감사합니다", "mbc 뉴스 이덕영입니다",
)  # fmt: skip
STOCK_SHARE = 0.5  # of the words of a stretch, from which it counts as stock phrases
LONGEST_PERIOD = 8  # words of a phrase whose repetition is measured
# Scripts written without spaces between words: Thai to Burmese, Khmer, kana, Chinese, full-width forms.
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]"
)

Piece = tuple[str, float | None, float | None]  # text, start, end: seconds after the start of the utterance


class KeepSettings(Settings):
    """Which recognised speech is kept. A measure that the engine does not give excludes nothing."""

    no_speech: float = Field(0.6, ge=0, le=1, description="greatest probability of no speech, …")
    no_speech_logprob: float = Field(-0.8, le=0, description="… where the mean log probability is below this")
    logprob: float = Field(-1.0, le=0, description="least mean log probability of the tokens")
    compression: float = Field(2.4, gt=0, description="greatest compression ratio of the text (loops compress well)")
    repetition: float = Field(0.7, ge=0, le=1, description="greatest share of words that repeat the phrase before them")
    stock_no_speech: float = Field(
        0.2, ge=0, le=1, description="text made of stock phrases (Thank you for watching) needs at most this, …"
    )
    stock_logprob: float = Field(-0.3, le=0, description="… and at least this mean log probability")


@dataclass(frozen=True)
class Heard:
    """Recognised speech. start, end: seconds, in the container's clock; cue: its words, None where it has none.

    no_speech: probability that nobody speaks; logprob: mean log probability of the tokens; None: not given.
    """

    start: float
    end: float
    cue: Cue | None
    no_speech: float | None = None
    logprob: float | None = None

    @property
    def text(self) -> str:
        return "" if self.cue is None else joined(self.cue.lines[0].tokens)

    @property
    def compression(self) -> float:
        """Bytes of the text over its compressed bytes, as Whisper measures it."""
        data = self.text.encode()
        return len(data) / len(zlib.compress(data)) if data else 0.0

    @property
    def repetition(self) -> float:
        """Share (0..1) of the words that repeat the phrase of 1 to 8 words just before them."""
        words = words_of(self.text)
        return max((_looped(words, period) for period in range(1, LONGEST_PERIOD + 1)), default=0.0)


def judge(heard: Heard, keep: KeepSettings) -> str:
    """Why a stretch is left out: no_speech, stock_phrase, repetitive or low_confidence; empty: it is kept.

    With `no_speech` nothing is lost; for the other reasons somebody may have spoken.
    """
    silent, sure = heard.no_speech or 0.0, 0.0 if heard.logprob is None else heard.logprob
    if heard.cue is None or not words_of(heard.text):
        return "no_speech"
    if silent > keep.no_speech and sure < keep.no_speech_logprob:
        return "no_speech"
    if (silent > keep.stock_no_speech or sure < keep.stock_logprob) and _stock_share(heard.text) >= STOCK_SHARE:
        return "stock_phrase"
    if heard.compression > keep.compression or heard.repetition > keep.repetition:
        return "repetitive"
    return "low_confidence" if sure < keep.logprob else ""


@dataclass(frozen=True)
class Kept:
    """What is kept of recognised speech. rows: of the column `heard`; lost: a sentence on what may be speech, or ""."""

    cues: list[Cue]
    rows: list[dict[str, Any]]
    lost: str


def kept_of(heard: Sequence[Heard], keep: KeepSettings) -> Kept:
    """Judges all that is heard in a video."""
    reasons = [judge(one, keep) for one in heard]
    doubtful = Counter(reason for reason in reasons if reason and reason != "no_speech")
    named = ", ".join(f"{reason} {count}" for reason, count in sorted(doubtful.items()))
    return Kept(
        cues=[one.cue for one, reason in zip(heard, reasons, strict=True) if one.cue and not reason],
        rows=[row_of(one, reason) for one, reason in zip(heard, reasons, strict=True)],
        lost=f"{doubtful.total()} of {len(heard)} stretches of speech were not understood ({named})"
        if doubtful
        else "",
    )


def row_of(heard: Heard, reason: str) -> dict[str, Any]:
    """The stretch as the transcribe table holds it."""
    measures = {"no_speech": heard.no_speech, "logprob": heard.logprob}
    return {
        "text": heard.text,
        "start": heard.start,
        "end": heard.end,
        **{name: None if value is None else round(value, 4) for name, value in measures.items()},
        "compression": round(heard.compression, 4),
        "repetition": round(heard.repetition, 4),
        "kept": not reason,
        "reason": reason,
    }


def tokens_of(pieces: Iterable[Piece], begin: float, end: float) -> list[Token]:
    """Words from the pieces of a recogniser; begin, end: of the utterance, in the container's clock.

    A piece that starts with a space begins a word; one that does not continues the word before it (" 10", ",000"),
    with the first start and the last end. In scripts without spaces every piece is a word, `glued` to the one before.
    Times outside the utterance, or before the previous one, are ignored.
    """
    tokens: list[Token] = []
    latest = begin
    for text, start, stop in pieces:
        clean = plain(text)
        shown = " ".join(clean.split())
        if not shown:
            continue
        time, finish = _placed(start, stop, latest, begin, end)
        latest = latest if time is None else time
        spaced = not tokens or clean[0].isspace()
        last = tokens[-1].text[-1] if tokens else " "
        unspaced = bool(UNSPACED.match(shown) or UNSPACED.match(last)) and not _combines(shown[0])
        if spaced or unspaced:
            tokens.append(Token(shown, time, finish, glued=not spaced))
            continue
        word = tokens.pop()
        ends = word.end if finish is None else finish
        tokens.append(Token(word.text + shown, word.time, None if word.time is None else ends, word.glued))
    return tokens


def cue_of(pieces: Iterable[Piece], begin: float, end: float) -> Cue | None:
    """A cue of one line from the pieces of a recogniser; None without words. See `tokens_of`."""
    tokens = tokens_of(pieces, begin, end)
    if not tokens:
        return None
    timed = any(token.time is not None for token in tokens)
    first = tokens[0].time
    return Cue(round(begin if first is None else first, 3), round(end, 3), (Line(tuple(tokens), timed),))


def joined(tokens: Iterable[Token]) -> str:
    """The words as text."""
    return "".join(token.text if token.glued else f" {token.text}" for token in tokens).strip()


def _placed(
    start: float | None, stop: float | None, latest: float, begin: float, end: float
) -> tuple[float | None, float | None]:
    time = None if start is None else round(float(begin + start), 3)
    if time is None or not latest <= time <= end:
        return None, None
    return time, None if stop is None else round(float(min(max(time, begin + stop), end)), 3)


def _combines(character: str) -> bool:
    """Whether a character cannot stand at the start of a word (vowel signs, tone marks, punctuation)."""
    return unicodedata.category(character) in ("Mn", "Mc", "Me", "Po", "Pe", "Pf")


def _looped(words: Sequence[str], period: int) -> float:
    repeats = sum(words[at] == words[at - period] for at in range(period, len(words)))
    return repeats / len(words) if words else 0.0


def _stock_share(text: str) -> float:
    """Share (0..1) of a text's words that are in sentences which are stock phrases."""
    folded = text.casefold().replace("’", "'")
    if _bare(folded) in STOCK:
        return 1.0
    sentences = [_bare(part) for part in _ENDS.split(folded)]
    total = sum(len(part.split()) for part in sentences)
    return sum(len(part.split()) for part in sentences if part in STOCK) / total if total else 0.0


def _bare(text: str) -> str:
    return " ".join(_NO_WORD.sub(" ", text).split())


_ENDS, _NO_WORD = re.compile("[.!?。！？]+"), re.compile(r"[^\w' ]+")
