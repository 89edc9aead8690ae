"""Tags, names and labels of languages have one form."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink.recipe import Recipe
from interlink.text.languages import distance, group_of, label_of, language_of, read_label, script_of, tag_of


def test_tags_have_one_form() -> None:
    assert [language_of(tag) for tag in ("en", "en-US", "eng", "EN_gb", "ger", "und", "", "yue")] == [
        *("en", "en", "en", "en", "de", "", "", "yue")
    ]
    assert [tag_of(tag) for tag in ("iw", "in", "ji", "mo", "tam", "pt_br", "cmn")] == [
        *("he", "id", "yi", "ro", "ta", "pt-BR", "cmn")
    ]


@pytest.mark.parametrize("siblings", [("no", "nb", "nn", "nor", "nob"), ("zh", "cmn", "yue", "chi"), ("tl", "fil")])
def test_siblings_are_one_group(siblings: tuple[str, ...]) -> None:
    assert len({group_of(tag) for tag in siblings}) == 1


def test_the_nearest_tag_is_the_same_region_or_script() -> None:
    assert distance("pt-BR", "pt-BR") < distance("pt-BR", "pt-PT")
    assert distance("zh-Hant", "zh-TW") < distance("zh-Hant", "zh-Hans")
    assert distance("no", "nb") < distance("no", "nn")


@pytest.mark.parametrize(
    ("rest", "language", "kinds"),
    [
        ("", "", ""),
        (".en", "en", ""),
        (".EN", "en", ""),
        (".eng", "en", ""),
        (".iw", "he", ""),
        (".pt_BR", "pt-BR", ""),
        (".zh-Hant", "zh-Hant", ""),
        (".es-419", "es-419", ""),
        (".English", "en", ""),
        (".Deutsch", "de", ""),
        (".español", "es", ""),
        (".espanol", "es", ""),
        (".日本語", "ja", ""),
        (".Chinese (Simplified)", "zh-Hans", ""),
        (".Português (Brasil)", "pt-BR", ""),
        (".English (auto-generated)", "en", "auto"),
        (".en-nP7-2PuUl7o", "en", ""),
        (".en-orig", "en", ""),
        (".sdh", "", "sdh"),
        (".en.sdh", "en", "sdh"),
        (".en.hi", "en", "sdh"),
        (".hi", "hi", ""),
        (".en.forced", "en", "forced"),
        (".forced.en", "en", "forced"),
        (".en.default", "en", ""),
        (".en.cc", "en", "sdh"),
        (".full.en", "en", ""),
        (".en.commentary", "en", "commentary"),
        (".Signs & Songs", "", "signs"),
        ("_en", "en", ""),
        ("-en", "en", ""),
        (" en", "en", ""),
        (" [en]", "en", ""),
        (" (English)", "en", ""),
        (" [en] [SDH]", "en", "sdh"),
        ("_track3_[eng]", "en", ""),
        (".en.2", "en", ""),
        (".live_chat", "", "chat"),
        (".chapters", "", "chapters"),
        (".und", "", ""),
    ],
)
def test_a_label_states_language_and_kinds(rest: str, language: str, kinds: str) -> None:
    label = read_label(rest)

    assert label is not None
    assert (label.language, " ".join(sorted(label.kinds))) == (language, kinds)


@pytest.mark.parametrize("rest", ["2", "-2", ".part", ".part2", ".one", ".old", "_final", " cut", ".v2", "s", ".1"])
def test_other_words_after_a_stem_are_no_label(rest: str) -> None:
    assert read_label(rest) is None


def test_the_label_of_a_name_stands_after_the_stem_or_at_the_end() -> None:
    assert label_of("Chapter 3 - Baking bread.en", ["Chapter 3 - Baking bread"]).kinds == frozenset()
    assert label_of("All chapters", ["All chapters"]).kinds == frozenset()
    assert label_of("Chapter 3 - Baking bread.en").kinds == frozenset()
    assert label_of("wwa_Chapters_en").never_speech == "chapters"
    assert label_of("wwa_captions_en").never_speech == ""
    assert label_of("cafe\u0301.fr", ["caf\u00e9"]).language == "fr"


def test_languages_have_scripts() -> None:
    assert [script_of(tag) for tag in ("en", "ru", "zh-Hant", "ja", "")] == ["Latn", "Cyrl", "Hant", "Jpan", ""]


@pytest.mark.parametrize("value", ["[no]", "no", "['no']", "[en, no]", "en"])
def test_norwegian_needs_no_quotes(value: str) -> None:
    recipe = Recipe.load("folder", ["source.path=x", f"transcribe.languages={value}"])

    (settings,) = (block.settings for block in recipe.blocks if block.name == "transcribe")
    expected = ("en", "no") if "," in value else ("en",) if value == "en" else ("no",)
    assert settings.model_dump()["languages"] == expected


def test_norwegian_needs_no_quotes_in_a_recipe_file(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("source: {path: x}\ndownload: {subtitle_languages: [no]}\n")

    recipe = Recipe.load(tmp_path / "r.yaml")

    assert recipe.dump()["download"]["subtitle_languages"] == ["no"]


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=20))
def test_no_text_raises(text: str) -> None:
    read_label(f".{text}")
    label_of(text)
    assert isinstance(language_of(text), str)
    assert isinstance(group_of(text), str)


@given(st.sampled_from(["en", "de", "pt-BR", "zh-Hans", "iw", "eng", "English", "sr-Latn"]), st.sampled_from("._- "))
def test_every_separator_gives_the_same_label(tag: str, separator: str) -> None:
    assert read_label(separator + tag) == read_label(f".{tag}") == read_label(f" [{tag}]")
