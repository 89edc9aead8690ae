"""Third-party parts by entry points: found, used in a whole build, and reported by the name of their package."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from builds import make
from interlink.api import Build
from interlink.doctor import captioner_ceiling
from interlink.engines.captioner import check_engine, make_captioner
from interlink.engines.imagetext import image_text_class
from interlink.engines.writer import check_writer, make_writer, writer_class
from interlink.errors import UserError
from interlink.interleave.policy import policy_class
from interlink.interleave.registry import check_policy
from interlink.plugins import Group
from interlink.recipe import Recipe
from interlink.score.safety import checker_class
from interlink.stages import stage_class
from interlink.tables import COMMON
from packages import put_package

COMMON_SCHEMA = pa.schema(COMMON)  # enough to read whole rows

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "write-a-plugin.md").read_text()
PARTS = PAGE.partition("## Release formats")[0]  # the rest of the page has tests of its own
EXAMPLES = [part.partition("```")[0] for part in PARTS.split("```python")[1:]]
MODULE = (
    "\n\n".join(EXAMPLES)
    + """
from interlink.interleave.policies import ClipPolicy
from interlink.stages.align import Align


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
    "interlink.policies": "acme_captions = acme:Captions\nacme_text_first = acme:TextFirst",
    "interlink.segmenters": "acme_bright = acme:Bright",
    "interlink.imagetext": "acme_sizes = acme:Sizes",
    "interlink.safety": "acme_shouting = acme:Shouting",
    "interlink.stages": "acme_no_lead = acme:NoLead\nacme_counts = acme:Counts",
}

THIRDS = """
from interlink.segment.verdict import Segmenter, Verdict


class Thirds(Segmenter):
    spacing = 0.0

    def __init__(self, seconds):
        self.seconds, self.cell = seconds, 0

    @classmethod
    def of(cls, options, video):
        return cls(options["seconds"])

    def feed(self, look):
        cell, before = int(look.time // self.seconds), self.cell
        self.cell = cell
        return [Verdict(look.time, cell > before, settled=True)]
"""

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


def read(build: Build, stage: str) -> list[dict[str, Any]]:
    """The rows of a stage's table."""
    fingerprint = build.recipe.fingerprints({})[stage]
    space = build.workspace
    names = [name for name, _ in space.partitions() if space.storage.names(f"tables/{stage}/{fingerprint}/{name}")]
    return [row for name in names for row in space.partition(stage, fingerprint, name, COMMON_SCHEMA).rows().values()]


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


def test_a_segmenter_a_stage_of_a_new_name_and_all_other_examples_of_the_docs_in_a_whole_build(
    sample_clips: Path, tmp_path: Path, install: Install
) -> None:
    install("acme", OFFERS)
    sets = (
        "stages=[download, transcribe, keyframes, counts=acme_counts, caption, score, interleave, shard]",
        "keyframes.segmenter=acme_bright",
        "keyframes.options={level: 120}",
        "keyframes.max_clip=3600",
        "counts.least=2",
        "score.engine=acme_sizes",
        "score.safety=[acme_shouting]",
        "interleave.policy=acme_text_first",
    )
    build = make(tmp_path / "root", sample_clips, *sets)
    status = build.run(limit=2).status
    assert status.documents >= 2 and status.failed_items == 0 and build.verify() == []
    rows = read(build, "counts")
    assert all(row["sentences"] > 0 and row["words"] > row["sentences"] for row in rows)
    for row in read(build, "score"):
        assert row["engine"] == "acme_sizes" and row["clips"][0]["safety"] is not None
    steps = {step.stage: step for step in build.why(rows[0]["id"]).steps}
    assert steps["counts"].facts == {"sentences": rows[0]["sentences"], "words": rows[0]["words"]}
    assert status.json()["stages"]["counts"]["amounts"] == {"words": sum(row["words"] for row in rows)}
    first = next(iter(build.documents()))["segments"]
    assert [segment["type"] for segment in first[:2]] == ["text", "frames"]

    clips = [len(row["clips"]) for row in read(build, "keyframes")]
    never = make(tmp_path / "never", sample_clips, *sets, "keyframes.options={level: 900}")
    never.run(limit=2, stages=["collect", "download", "transcribe", "keyframes"])
    assert [len(row["clips"]) for row in read(never, "keyframes")] == [1, 1] and max(clips) >= 1
    assert never.recipe.fingerprints({})["keyframes"] != build.recipe.fingerprints({})["keyframes"]
    with pytest.raises(UserError, match=r"'acme_bright' of acme 1\.2 rejects its options .*levl"):
        make(tmp_path / "wrong", sample_clips, *sets, "keyframes.options={levl: 900}")


def test_a_segmenter_begins_clips_where_it_says(shared_data: Path, tmp_path: Path, install: Install) -> None:
    install("acme", {"interlink.segmenters": "acme_thirds = acme:Thirds"}, source=THIRDS)
    clip = shared_data / "clips" / "his_girl_friday.mp4"
    build = make(tmp_path / "root", clip, "keyframes.segmenter=acme_thirds", "keyframes.options={seconds: 2.0}")
    build.run(stages=["collect", "download", "keyframes"])
    (row,) = read(build, "keyframes")
    starts = [each["start"] for each in row["clips"]]
    assert len(starts) > 2
    assert all(start == pytest.approx(2.0 * n, abs=0.1) for n, start in enumerate(starts))


def test_a_class_without_its_base_is_refused_with_the_name_of_its_package(
    sample_clips: Path, tmp_path: Path, install: Install
) -> None:
    names = ("captioners", "writers", "segmenters", "imagetext", "safety", "policies", "stages")
    install("acme", {f"interlink.{name}": "acme_bare = acme:Bare" for name in names}, source="class Bare: ...")
    for key, base in (
        ("caption.engine=acme_bare", "Captioner"),
        ("keyframes.segmenter=acme_bare", "Segmenter"),
        ("interleave.policy=acme_bare", "Policy"),
        ("stages=[download, transcribe, keyframes=acme_bare]", "Stage"),
    ):
        with pytest.raises(UserError, match=rf"'acme_bare' of acme 1\.2 is not a {base}") as error:
            make(tmp_path, sample_clips, key)
        assert "derive its class from interlink." in error.value.do
    for load in (lambda: writer_class("acme_bare"), lambda: image_text_class("acme_bare")):
        with pytest.raises(UserError, match=r"'acme_bare' of acme 1\.2 is not a"):
            load()
    with pytest.raises(UserError, match="is not a SafetyChecker"):
        checker_class("acme_bare")


def test_a_class_that_lacks_a_required_method_is_refused_before_a_build_begins(
    sample_clips: Path, tmp_path: Path, install: Install
) -> None:
    source = """
from interlink.engines.captioner import Captioner
from interlink.engines.writer import Writer
from interlink.interleave.policy import Policy
from interlink.segment.verdict import Segmenter
from interlink.stage import PerItem


class Mute(Captioner):
    def open(self): ...


class Empty(Writer): ...


class Loose(Policy): ...


class Still(Segmenter): ...


class Idle(PerItem): ...
"""
    groups = {"captioners": "Mute", "writers": "Empty", "policies": "Loose", "segmenters": "Still", "stages": "Idle"}
    install("acme", {f"interlink.{group}": f"acme_half = acme:{name}" for group, name in groups.items()}, source=source)
    for key, lacks in (
        ("caption.engine=acme_half", "caption"),
        ("keyframes.segmenter=acme_half", "feed"),
        ("interleave.policy=acme_half", "arrange"),
        ("stages=[download, transcribe, keyframes=acme_half]", "process"),
    ):
        with pytest.raises(UserError, match=rf"'acme_half' of acme 1\.2 does not define {lacks}\n"):
            make(tmp_path, sample_clips, key)
    with pytest.raises(UserError, match=r"does not define open and write\n") as error:
        writer_class("acme_half")
    assert error.value.do == "define them in acme.Empty (docs/how-to/write-a-plugin.md)"


def test_a_stage_of_a_new_name_needs_a_schema_and_a_name_that_is_free(
    sample_clips: Path, tmp_path: Path, install: Install
) -> None:
    source = MODULE + "\n\nclass Bare(Counts):\n    schema = None\n"
    install("acme", {"interlink.stages": "acme_counts = acme:Counts\nacme_bare = acme:Bare"}, source=source)
    with pytest.raises(UserError, match=r"stage counts \(acme\.Bare\) declares no schema"):
        make(tmp_path, sample_clips, "stages=[download, transcribe, counts=acme_bare]")
    for name in ("source", "collect", "Counts", "../x"):
        with pytest.raises(UserError, match="a stage cannot be called"):
            make(tmp_path, sample_clips, f"stages=[download, transcribe, {name}=acme_counts]")


def test_the_doctor_measures_an_engine_of_another_package(sample_clips: Path, tmp_path: Path, install: Install) -> None:
    install("acme", OFFERS)
    build = make(tmp_path / "none", sample_clips, "caption.engine=acme_counting", "caption.options={word: piece}")
    found = captioner_ceiling(build, 0.05)
    assert (found.engine, found.model) == ("acme_counting", "counter") and found.clips >= 16


def test_an_engine_of_another_package_is_asked_before_a_build_begins(
    sample_clips: Path, tmp_path: Path, install: Install
) -> None:
    source = MODULE.replace(
        "    def open(self):  # load the model here",
        "    @staticmethod\n    def check(options):\n        from interlink.errors import UserError\n"
        "        raise UserError('the counter is away', 'fetch it')\n\n    def open(self):",
    )
    install("acme", OFFERS, source=source)
    build = make(tmp_path / "root", sample_clips, "caption.engine=acme_counting")
    with pytest.raises(UserError, match="the counter is away"):
        build.run(limit=1)
    assert build.workspace.storage.names("tables") == []


def test_options_that_an_engine_refuses_are_a_mistake_of_the_recipe(install: Install) -> None:
    install("acme", OFFERS)
    with pytest.raises(UserError, match=r"'acme_counting' of acme 1\.2 rejects its options .*no option words") as error:
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
    with pytest.raises(UserError, match=r"'transcript' is built in, but acme 1\.2 offers another"):
        check_engine("transcript")


def test_an_unknown_name_tells_the_nearest_also_of_others(install: Install) -> None:
    install("acme", OFFERS)
    with pytest.raises(UserError) as error:
        check_engine("acme_countin")
    assert error.value.do == "did you mean 'acme_counting'?"
    group = Group("interlink.captioners", "caption engine", {"ours": "a:B"}, "a:Base")
    assert group.names() == ["ours", "acme_counting"]
