"""Which of a video's subtitle files and tracks is taken, and what is said of those that cannot be read."""

from __future__ import annotations

from interlink.subtitles.blocks import cue_of
from interlink.subtitles.cues import Subtitles
from interlink.subtitles.sources import Found, Source, Wanted, choose
from interlink.text.languages import Label


def cues(count: int = 1) -> Subtitles:
    made = [cue_of(n, n + 1.0, "Peel it.") for n in range(count)]
    return Subtitles(cues=[cue for cue in made if cue is not None])


def source(
    name: str, language: str, *kinds: str, found: Subtitles | None = None, where: str = "sidecar"
) -> tuple[Source, list[str]]:
    loads: list[str] = []

    def load() -> Found:
        loads.append(name)
        return Found(where, name, language, cues() if found is None else found)

    return Source(Label(language, frozenset(kinds)), load), loads


def taken(wanted: Wanted, *sources: tuple[Source, list[str]]) -> tuple[str | None, list[str], list[str]]:
    """(the name of the chosen one, those that were read, what was lost)."""
    lost: list[str] = []
    found = choose([one for one, _ in sources], wanted, lambda one: one.label.language, lost)
    return None if found is None else found.name, [name for _, loads in sources for name in loads], lost


ENGLISH = Wanted(("en", "de"), False)


def test_a_language_is_ranked_by_its_place_and_the_distance_of_its_tag() -> None:
    assert ENGLISH.rank("en") == (0, 0)
    assert ENGLISH.rank("de") == (1, 0)
    near, far = ENGLISH.rank("en-GB"), Wanted(("en-US",), False).rank("en-GB")
    assert near is not None and far is not None and near[0] == far[0] == 0 and 0 < near[1] <= far[1]
    assert ENGLISH.rank("fr") is None and Wanted(("en", "de"), True).rank("fr") == (3, 0)
    assert ENGLISH.rank("") == (2, 0) == Wanted(("en", "de"), True).rank("")
    assert Wanted((), False).rank("") == (0, 0) and Wanted((), True).rank("en") == (1, 0)


def test_the_first_wanted_language_is_taken_and_nothing_else_is_read() -> None:
    assert taken(ENGLISH, source("a", "fr"), source("b", "de"), source("c", "en")) == ("c", ["c"], [])
    assert taken(ENGLISH, source("a", "fr")) == (None, [], [])
    assert taken(Wanted(("en",), True), source("a", "fr"), source("b", "")) == ("b", ["b"], [])


def test_of_one_language_the_nearest_the_written_and_the_one_without_sounds_is_taken() -> None:
    plain, other = source("plain", "en"), source("other", "en")
    for worse in (source("w", "en", "auto"), source("w", "en", "sdh"), source("w", "en-GB")):
        assert taken(ENGLISH, worse, plain)[0] == "plain"
    assert taken(ENGLISH, source("auto", "en", "auto"), source("far", "en-GB"))[0] == "auto"
    assert taken(ENGLISH, source("auto", "en", "auto"), source("sdh", "en", "sdh"))[0] == "sdh"
    assert taken(ENGLISH, plain, other)[0] == "plain"


def test_what_has_no_cues_is_passed_over_and_said() -> None:
    chapters = Subtitles(cues=[*cues().cues], kind="chapters")
    broken = Subtitles(problems=["bad line 3", "cut"])
    found = taken(
        ENGLISH,
        source("chapters", "en", found=chapters),
        source("empty", "en", found=Subtitles()),
        source("track", "en", found=broken, where="track"),
        source("good", "de"),
    )
    assert found == (
        "good",
        ["chapters", "empty", "track", "good"],
        ["empty: no cue could be read", "track: bad line 3", "track: cut"],
    )


def test_a_source_is_read_once() -> None:
    one, loads = source("a", "en")
    assert one.get() is one.get()
    assert loads == ["a"]
