"""The language of a text is detected where there is enough of it."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("py3langid", reason="py3langid (the extra `language`) is not installed")

from interlink.engines.language import LanguageDetector
from interlink.subtitles.files import parse
from interlink.subtitles.words import words_of


@pytest.mark.parametrize(
    ("name", "language"),
    [
        ("sintel-en.vtt", "en"),
        ("sintel-de.vtt", "de"),
        ("sintel-es.vtt", "es"),
        ("blocks4all_captions_ko.vtt", "ko"),
        ("WAaKRUoY6Io.en.vtt", "en"),
    ],
)
def test_real_captions(shared_data: Path, name: str, language: str) -> None:
    detector = LanguageDetector()
    detector.open()
    words, _ = words_of(parse((shared_data / "subtitles" / name).read_bytes()).cues)

    found = detector.detect(" ".join(word.text for word in words))

    assert found is not None
    assert found[0] == language
    assert 0.5 < found[1] <= 1.0


def test_too_little_text_is_not_judged() -> None:
    detector = LanguageDetector()
    detector.open()

    assert detector.detect("Okay.") is None
    assert detector.detect("1234567890 " * 20) is None
