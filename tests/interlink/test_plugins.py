"""Parts of others by entry points: found, used in a whole build, and told of by the name of their package."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from builds import make
from interlink.engines.captioner import check_engine, make_captioner
from interlink.engines.writer import check_writer, make_writer
from interlink.errors import UserError
from interlink.interleave.policy_names import check_policy
from interlink.interleave.registry import policy_class
from interlink.plugins import Group
from interlink.recipe import Recipe
from interlink.stages import stage_class
from packages import put_package

DOCUMENTED = (
    (Path(__file__).parents[2] / "docs" / "plugins.md").read_text().partition("```python")[2].partition("```")[0]
)
MODULE = (
    DOCUMENTED
    + """
from interlink.engines.writer import Written
from interlink.interleave.policies import ClipPolicy
from interlink.stage import Row
from interlink.stages.align import Align


class Poet:
    parallel = 4

    def __init__(self, options): ...

    def open(self):
        return Identity("acme_poet", "poet", "2")

    def close(self): ...

    def write(self, requests):
        for request in requests:
            if request is not None:
                yield Written(request.id, request.clip, f"A verse about clip {request.clip} of the video.")


class Captions(ClipPolicy):
    roles = frozenset(("narration",))


class NoLead(Align):
    def process(self, item):
        return Row(item.id, {"lead": None, "confidence": 0.0, "onsets": 0, "changes": 0})
"""
)

OFFERS = {
    "interlink.captioners": "acme_counting = acme:Counting",
    "interlink.writers": "acme_poet = acme:Poet",
    "interlink.policies": "acme_captions = acme:Captions",
    "interlink.stages": "acme_no_lead = acme:NoLead",
}

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution of one module on sys.path, as pip leaves it."""

    def put(name: str, offers: Mapping[str, str], module: str = "acme", source: str = MODULE) -> Path:
        folder = put_package(tmp_path / "site" / name, name, offers, module, source)
        monkeypatch.syspath_prepend(str(folder))
        monkeypatch.delitem(sys.modules, module, raising=False)
        return folder

    return put


def test_engines_policies_and_stages_of_others_in_a_whole_build(
    sample_clips: Path, tmp_path: Path, install: Install
) -> None:
    install("acme", OFFERS)
    build = make(
        tmp_path / "root",
        sample_clips,
        "stages=[download, transcribe, keyframes, align=acme_no_lead, caption, narrate, interleave, shard]",
        "caption.engine=acme_counting",
        "caption.options={word: piece}",
        "narrate.engine=acme_poet",
        "interleave.policy=acme_captions",
        "interleave.lead=correct",
    )
    status = build.run(limit=2).status
    assert status.documents == 2 and build.verify() == []
    for document in build.documents():
        assert document["provenance"]["models"] == {"caption": "counter@1", "narrate": "poet@2"}
        assert {segment["role"] for segment in document["segments"] if segment["type"] == "text"} == {"narration"}
        clip = document["clips"][1]
        assert clip["caption"].startswith("piece 1 has ")
        assert clip["narration"] == "A verse about clip 1 of the video."
    assert not build.run(limit=2).worked
    other = make(tmp_path / "root", sample_clips, "caption.engine=acme_counting", "caption.options={word: part}")
    assert other.recipe.fingerprints({})["caption"] != build.recipe.fingerprints({})["caption"]


def test_options_that_an_engine_refuses_are_a_mistake_of_the_recipe(install: Install) -> None:
    install("acme", OFFERS)
    with pytest.raises(UserError, match=r"'acme_counting' of acme 1\.2 refuses its options .*no option words") as error:
        make_captioner("acme_counting", {"words": 1}, "")
    assert "`options`" in error.value.do


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import a_library_that_is_nowhere", "ModuleNotFoundError: No module named 'a_library_that_is_nowhere'"),
        ("raise RuntimeError('no GPU here')", "RuntimeError: no GPU here"),
        ("def broken(:", "SyntaxError"),
        ("", "AttributeError"),
    ],
)
def test_a_package_that_cannot_be_imported_is_named(install: Install, source: str, why: str) -> None:
    install("acme", OFFERS, source=source)
    for load in (
        lambda: make_captioner("acme_counting", {}, ""),
        lambda: make_writer("acme_poet", {}),
        lambda: policy_class("acme_captions"),
        lambda: stage_class("align", "acme_no_lead"),
    ):
        with pytest.raises(UserError, match=r"of acme 1\.2 cannot be imported") as error:
            load()
        assert why in error.value.what and "acme 1.2" in error.value.do


def test_nothing_of_a_package_is_imported_before_a_recipe_names_it(install: Install) -> None:
    install("acme", OFFERS, source="raise RuntimeError('imported')")
    Recipe.load({"source": {"path": "clips"}})
    assert check_engine("acme_counting") == "acme_counting" and check_writer("acme_poet") == "acme_poet"
    assert check_policy("acme_captions") == "acme_captions"


def test_two_packages_of_one_name_are_both_named(install: Install) -> None:
    install("acme", {"interlink.captioners": "counting = acme:Counting"})
    install("bcme", {"interlink.captioners": "counting = bcme:Counting"}, module="bcme")
    with pytest.raises(UserError, match=r"'counting' is offered by acme 1\.2 and by bcme 1\.2") as error:
        check_engine("counting")
    assert "uninstall all but one" in error.value.do


def test_a_name_of_ours_is_not_taken_in_silence(install: Install) -> None:
    assert check_engine("transcript") == "transcript"
    install("acme", {"interlink.captioners": "transcript = acme:Counting"})
    with pytest.raises(UserError, match=r"'transcript' is interlink's own, and acme 1\.2 offers another"):
        check_engine("transcript")


def test_an_unknown_name_tells_the_nearest_also_of_others(install: Install) -> None:
    install("acme", OFFERS)
    with pytest.raises(UserError) as error:
        check_engine("acme_countin")
    assert error.value.do == "did you mean 'acme_counting'?"
    group = Group("interlink.captioners", "caption engine", {"ours": "a:B"})
    assert group.names() == ["ours", "acme_counting"]
