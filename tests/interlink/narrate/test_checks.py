"""What is wrong with an answer is found, what is right is let be; templates are filled once and refused when broken."""

from __future__ import annotations

import pytest

from interlink.narrate.checks import PROBLEMS, Checker, tidy, unfounded_names
from interlink.narrate.settings import CheckSettings, NarrateSettings
from interlink.narrate.template import VERSIONS, Template, fill

SPEECH = "today we are going to cut a red onion with the big knife from Japan"


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ("A hand cuts a red onion with a big knife.", []),
        ("", ["empty"]),
        ("Onion.", ["short"]),
        ("I'm sorry, I cannot describe this clip.", ["refusal"]),
        ("As an AI language model I see an onion here.", ["refusal", "names"]),
        ("Then Gordon cuts it in the kitchen.", []),
        ("The hand of Gordon Ramsay cuts the onion.", ["names"]),
        ("The knife from Japan's market cuts Onions.", []),
        ("Then we are going to cut a red onion with the big knife", ["copied"]),
        ("it cuts the onion and " * 12, ["repetition", "long"]),
    ],
)
def test_faults(text: str, flags: list[str]) -> None:
    checker = Checker(CheckSettings(most_tokens=40))
    evidence = f"Gordon's kitchen market {SPEECH}" if "kitchen" in text or "market" in text else SPEECH

    assert checker.faults(text, SPEECH, evidence) == flags
    assert set(flags) <= set(PROBLEMS)


def test_another_language_is_a_fault_where_one_is_asked_for() -> None:
    pytest.importorskip("py3langid", reason="py3langid (the extra `language`) is not installed")
    checker = Checker(CheckSettings(language="en", names=False))
    checker.open()

    assert checker.faults("Die Hand schneidet eine rote Zwiebel auf dem Brett in Ringe.", "", "") == ["language"]
    assert checker.faults("The hand cuts a red onion on the board into thin rings.", "", "") == []


def test_first_words_and_other_scripts_name_nobody() -> None:
    assert unfounded_names("Stir it. Then Ann stirs. 他切洋葱。", "") == ["Ann"]
    assert unfounded_names("The Onion and I", "onions") == []


def test_answers_are_tidied() -> None:
    assert tidy(' Description:  "A hand\ncuts." ') == "A hand cuts."
    assert tidy('"A" and "B"') == '"A" and "B"'


def test_shipped_templates_are_whole() -> None:
    for style in VERSIONS:
        template = Template.of_style(style)
        assert template.first and template.retry and template.system
        known = dict.fromkeys(("title", "caption", "speech", "ocr"), "X") | {"history": ""}
        assert "{" not in template.request(known) + template.again(known, "a", "b")
    assert Template.of_style("howto_interlink").remembers
    assert not Template.of_style("fuse").remembers


def test_nothing_that_a_video_says_is_read_as_a_placeholder() -> None:
    assert fill("Said: {speech}\nSeen: {caption}", {"speech": "{caption}", "caption": "{speech}"}) == (
        "Said: {caption}\nSeen: {speech}"
    )
    assert fill("Title: {title}\nSaid: {speech}", {"speech": "x"}) == "Said: x"


@pytest.mark.parametrize(
    ("text", "what"),
    [("hello", "begins with a section"), ("## last\nx", "no section 'last'"), ("## system\nx", "needs a section"),
     ("## first\na\n## first\nb", "appears twice")],
)  # fmt: skip
def test_a_broken_template_is_refused_with_the_recipe(text: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        NarrateSettings(prompt=text)
