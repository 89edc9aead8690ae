"""Texts without punctuation whose sentence ends are known, and how well found ends agree with them.

auto captions   a recipe video's automatic captions with times of words; cut by hand (78 sentences, shared data)
captions        human captions of interviews, their punctuation and capitals removed (39 sentences, shared data)
lecture         a talk as tiny.en recognises it, with times of words, without punctuation; cut by hand (14 sentences,
                lecture_sentences.txt: word@start+length)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from pathlib import Path

from interlink.subtitles.files import parse
from interlink.subtitles.words import Word, words_of

LECTURE = Path(__file__).with_name("lecture_sentences.txt")
Ends = tuple[list[Word], set[int]]  # words, and the numbers of those that begin a sentence


def auto_captions(shared: Path) -> Ends:
    folder = shared / "subtitles"
    words, _ = words_of(parse((folder / "WAaKRUoY6Io.en.vtt").read_bytes()).cues)
    lines = (folder / "WAaKRUoY6Io.sentences.txt").read_text().splitlines()
    known = [(word.casefold(), number == 0) for line in lines for number, word in enumerate(line.split())]
    pairs = SequenceMatcher(None, [word.text.casefold() for word in words], [word for word, _ in known], autojunk=False)
    begins = set()
    for at, place, size in pairs.get_matching_blocks():
        begins |= {at + n for n in range(size) if known[place + n][1] and at + n}
    return words, begins


def captions(shared: Path, name: str = "itaccess_captions_en.vtt") -> Ends:
    words, _ = words_of(parse((shared / "subtitles" / name).read_bytes()).cues)
    bare: list[Word] = []
    begins: set[int] = set()
    ended = False
    for word in words:
        text = re.sub(r"[.,!?;:]+$", "", word.text)
        if not re.search(r"\w", text):
            continue
        if ended:
            begins.add(len(bare))
        ended = word.text.endswith((".", "!", "?"))
        bare.append(replace(word, text=text if text.split("'")[0] == "I" else text.lower(), opens_turn=False))
    return bare, begins


def lecture() -> Ends:
    words: list[Word] = []
    begins: set[int] = set()
    for line in LECTURE.read_text().splitlines():
        begins.add(len(words))
        for entry in line.split():
            text, start, length = re.split(r"[@+](?=\d)", entry)
            words.append(Word(text, float(start), round(float(start) + float(length), 3), timed=True))
    return words, begins - {0}


def agreement(found: Sequence[int], begins: set[int]) -> tuple[float, float, float]:
    """(F1, precision, recall)."""
    right = len(begins & set(found))
    precision, recall = right / max(1, len(found)), right / max(1, len(begins))
    return 2 * right / max(1, len(found) + len(begins)), precision, recall
