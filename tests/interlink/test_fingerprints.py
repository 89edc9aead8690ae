"""Fingerprints cover what shapes bytes, and nothing else; roots of an earlier rule go on without recomputing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field
from typer.testing import CliRunner

from builds import locked, make, tables
from interlink.api import Build
from interlink.cli import app
from interlink.errors import UserError
from interlink.fingerprints import Shape, acting, adopted, fingerprints
from interlink.recipe import Recipe, recipe_names
from interlink.runtime.lock import ROOT_VERSION, Lock, decode, encode
from interlink.settings import Settings, added, marks_of, operational

GOLDEN = Path(__file__).with_name("fingerprints.json")
EARLIER = Path(__file__).with_name("data") / "root_version_1.lock.json"
CHANGES = Path(__file__).parents[2] / "CHANGELOG.md"


def changed(*sets: str, base: tuple[str, ...] = (), recipe: str = "folder") -> list[str]:
    """The stages whose fingerprints change with `sets`."""
    before = Recipe.load(recipe, ["source.path=x", *base]).fingerprints({})
    after = Recipe.load(recipe, ["source.path=x", *base, *sets]).fingerprints({})
    return [stage for stage in before if before[stage] != after[stage]]


# -- the rule ------------------------------------------------------------------------------------------------------


class Inner(Settings):
    size: int = Field(3, description="")
    speed: int = operational(1, "")


class Block(Settings):
    engine: str = Field("a", description="")
    a: Inner = Field(Inner(), description="")
    b: Inner = Field(Inner(), description="")
    later: int = added(7, "")
    workers: int = operational(2, "")
    patience: int = operational(5, "", since_rule=2)

    def unread(self) -> frozenset[str]:
        return frozenset(("a", "b")) - {self.engine}


def test_a_block_counts_with_the_fields_that_act_on_rows() -> None:
    assert acting(Block()) == {"engine": "a", "a": {"size": 3}}
    assert acting(Block(engine="b", later=8, workers=9, patience=9)) == {"engine": "b", "b": {"size": 3}, "later": 8}


def test_rule_1_also_counted_blocks_that_are_not_chosen() -> None:
    assert acting(Block(), rule=1) == {"engine": "a", "a": {"size": 3}, "b": {"size": 3}, "patience": 5}


def test_a_fingerprint_depends_on_version_needs_fresh_and_a_third_party_class() -> None:
    def prints(**changes: Any) -> dict[str, str]:
        first = Shape("one", 1, "m:One", False, Block(), ())
        second = Shape("two", 1, "m:Two", False, Block(), ("one",))
        return fingerprints([Shape(**{**vars(first), **changes}), second], {})

    plain = prints()
    for changes in ({"version": 2}, {"third_party": True}, {"settings": Block(engine="b")}, {"stage": "one"}):
        assert (prints(**changes) == plain) is (changes == {"stage": "one"})
    assert prints(version=2)["two"] != plain["two"]
    assert prints(implementation="n:One") == plain  # ours: where a class lies shapes nothing
    assert prints(implementation="n:One", third_party=True) != prints(third_party=True)
    again = fingerprints([Shape("one", 1, "m:One", False, Block(), ())], {"one": 1})
    assert again["one"] != plain["one"]


@pytest.mark.parametrize(
    "sets",
    [
        "keyframes.kts.vmax=2",
        "keyframes.length=5",
        "keyframes.transnet.threshold=0.4",
        "keyframes.transcript.pause=2",
        "keyframes.options={a: 1}",
        "keyframes.clip_height=240",
        "keyframes.clip_megabytes=9",
        "keyframes.deadline_seconds=9",
        "keyframes.deadline_per_second=9",
        "keyframes.deadline_per_megabyte=9",
        "caption.openai.model=m",
        "caption.transformers.max_new_tokens=9",
        "caption.checkpoint.num_beams=2",
        "caption.annotations.missing=speech",
        "caption.options={a: 1}",
        "transcribe.speech.model=m",
        "interleave.assignment.threshold=0.5",
        "interleave.step.most_clips=2",
        "interleave.lead_confidence=0.9",
        "interleave.options={a: 1}",
        "download.concurrency=3",
        "max_failed_share=0.5",
    ],
)
def test_what_is_not_chosen_changes_no_fingerprint(sets: str) -> None:
    assert changed(sets) == []


@pytest.mark.parametrize(
    ("base", "sets", "first"),
    [
        ("keyframes.segmenter=kts", "keyframes.kts.vmax=2", "keyframes"),
        ("keyframes.segmenter=fixed", "keyframes.length=5", "keyframes"),
        ("keyframes.clip_files=exact", "keyframes.clip_height=240", "keyframes"),
        ("keyframes.clip_audio=flac", "keyframes.clip_megabytes=9", "keyframes"),
        ("caption.engine=openai", "caption.openai.model=m", "caption"),
        ("caption.engine=checkpoint:x", "caption.checkpoint.num_beams=2", "caption"),
        ("transcribe.recogniser=faster-whisper", "transcribe.speech.model=m", "transcribe"),
        ("interleave.policy=step", "interleave.step.most_clips=2", "interleave"),
        ("interleave.lead=correct", "interleave.lead_confidence=0.9", "interleave"),
        ("seed=0", "interleave.scrub=true", "interleave"),
        ("seed=0", "download.max_height=360", "download"),
    ],
)
def test_what_is_chosen_does(base: str, sets: str, first: str) -> None:
    stages = ["stages=[download, transcribe, keyframes, align, caption, score, interleave, shard]"]
    assert changed(sets, base=(*stages, base))[0] == first


def test_scores_count_their_engine_and_checkers_only() -> None:
    stages = "stages=[download, transcribe, keyframes, caption, score, interleave, shard]"
    unused = ("score.open_clip.model=m", "score.classifier.batch_size=3", "score.nudenet.batch_size=3",
              "score.blocked_words=[a]", "score.options={a: 1}")  # fmt: skip
    assert changed(*unused, base=(stages,)) == []
    assert changed("score.blocked_words=[a]", base=(stages, "score.safety=[words]")) == ["score", "interleave", "shard"]


def test_a_writer_that_is_not_asked_is_not_counted() -> None:
    def prints(*sets: str) -> dict[str, str]:
        return Recipe.load("howto_interlink", ["source.path=x", *sets]).fingerprints({})

    assert prints("narrate.style=none", "narrate.openai.model=a") == prints(
        "narrate.style=none", "narrate.openai.model=b"
    )
    assert prints("narrate.openai.model=a") != prints("narrate.openai.model=b")


# -- golden --------------------------------------------------------------------------------------------------------


def _added(model: type[BaseModel], prefix: str) -> dict[str, Any]:
    """Dotted name → default of every field that is left out at its default."""
    found: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if marks_of(field).added:
            found[f"{prefix}.{name}"] = default.model_dump(mode="json") if isinstance(default, BaseModel) else default
        if isinstance(default, Settings):
            found |= _added(type(default), f"{prefix}.{name}")
    return found


def _now() -> dict[str, Any]:
    recipes = {}
    defaults: dict[str, Any] = {}
    versions: dict[str, int] = {}
    for name in recipe_names():
        recipe = Recipe.load(name, ["source.path=x"])
        recipes[name] = recipe.fingerprints({})
        for block in recipe.blocks:
            versions[block.name] = block.cls.version
            defaults |= _added(type(block.settings), block.name)
    return {"recipes": recipes, "versions": versions, "left out at their defaults": defaults}


def test_fingerprints_of_the_bundled_recipes_are_those_on_record() -> None:
    """UPDATE_FINGERPRINTS=1 rewrites the record; its sum then goes into the CHANGELOG, with what changed."""
    text = json.dumps(_now(), indent=1, sort_keys=True) + "\n"
    if os.environ.get("UPDATE_FINGERPRINTS"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text(), (
        "fingerprints changed: users recompute these stages. If a default changed, raise the stage's `version`; if a "
        "field was added, mark it `added`. Then UPDATE_FINGERPRINTS=1 and a line in the CHANGELOG"
    )
    record = hashlib.sha256(text.encode()).hexdigest()[:12]
    assert f"fingerprints `{record}`" in CHANGES.read_text(), f"the CHANGELOG has no entry for fingerprints `{record}`"


def test_every_default_that_is_left_out_is_on_record() -> None:
    """A changed default of such a field changes no fingerprint by itself; the record notices."""
    assert {"keyframes.speech_weight": 0.0, "shard.clip_files": False}.items() <= (
        json.loads(GOLDEN.read_text())["left out at their defaults"].items()
    )


# -- roots of earlier and later versions ---------------------------------------------------------------------------


def earlier() -> Lock:
    return decode(EARLIER.read_bytes(), "recipe.lock.json")


def test_the_fingerprints_of_rule_1_can_still_be_computed() -> None:
    lock = earlier()
    assert lock.root_version == 1
    # The versions that the stages had when this lock was written.
    then = {"download": 1, "transcribe": 2, "keyframes": 4, "caption": 2, "interleave": 1}
    now = Recipe.load(lock.recipe).shapes()
    shapes = [replace(shape, version=then.get(shape.stage, shape.version)) for shape in now]
    assert fingerprints(shapes, lock.fresh, rule=1) == lock.fingerprints
    known = adopted(shapes, lock.fresh, lock.fingerprints)
    assert sorted(known.values()) == sorted(lock.fingerprints.values())


def as_of_rule_1(root: Path) -> dict[str, str]:
    """Turns a root into what rule 1 made of it. Returns its fingerprints."""
    path = root / "recipe.lock.json"
    data = json.loads(path.read_text())
    old = fingerprints(Recipe.load(data["recipe"]).shapes(), data["fresh"], rule=1)
    for stage, print_ in data["fingerprints"].items():
        (root / "tables" / stage / print_).rename(root / "tables" / stage / old[stage])
    shutil.rmtree(root / "shards")  # they name their fingerprint inside
    shutil.rmtree(root / "tables" / "shard")
    data |= {"fingerprints": old, "shards": f"shards/{old['shard']}"}
    del data["root_version"], data["adopted"]
    path.write_text(json.dumps(data))
    return old


def test_a_root_of_rule_1_goes_on_where_it_was(sample_clips: Path, tmp_path: Path) -> None:
    make(tmp_path / "root", sample_clips).run()
    old = as_of_rule_1(tmp_path / "root")
    before = tables(Build(None, tmp_path / "root").workspace)

    outcome = make(tmp_path / "root", sample_clips).run()

    lock = locked(Build(None, tmp_path / "root").workspace)
    assert (lock.root_version, lock.fingerprints, outcome.changed) == (ROOT_VERSION, old, ())
    after = tables(Build(None, tmp_path / "root").workspace)
    assert before.items() <= after.items()
    assert {path.split("/")[1] for path in after.keys() - before.keys()} == {"shard"}
    assert Build(None, tmp_path / "root").verify() == []

    changed = make(tmp_path / "root", sample_clips, "interleave.min_clips=2").run()  # a change below, then back
    assert changed.changed == ("interleave", "shard")
    assert not make(tmp_path / "root", sample_clips).run().worked
    assert locked(Build(None, tmp_path / "root").workspace).fingerprints == old


def test_a_recipe_of_an_earlier_version_that_cannot_be_read_is_refused_in_one_line(
    sample_clips: Path, tmp_path: Path
) -> None:
    make(tmp_path / "root", sample_clips).run(stages=["collect", "download"])
    path = tmp_path / "root" / "recipe.lock.json"
    data = json.loads(path.read_text())
    del data["root_version"]
    data["recipe"]["keyframes"]["gone"] = 1
    path.write_text(json.dumps(data))

    with pytest.raises(UserError, match=r"earlier version, with a recipe that this one cannot read.*keyframes\.gone"):
        make(tmp_path / "root", sample_clips).run()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"{bad", "is damaged: Expecting property name"),
        (b"[]", "is damaged: "),
        (b"\xff", "is damaged: 'utf-8' codec"),
        (b'{"recipe": {}, "fingerprints": {}}', "is damaged: it names no recipe"),
        (encode({**json.loads(EARLIER.read_text()), "root_version": 99}), "has root version 99; this program knows"),
    ],
)
@pytest.mark.parametrize(
    "command",
    ["status {}", "status {} --rows", "verify {}", "why {} x", "retry {} --class bug", "prune {}", "prune {} --yes",
     "release {} --format all --out {}/out", "build folder --set source.path=x --root {}", "build --root {}",
     "doctor --captioner --root {}"],
)  # fmt: skip
def test_every_command_checks_the_lock(data: bytes, what: str, command: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.lock.json").write_bytes(data)

    result = CliRunner().invoke(app, command.format(tmp_path, tmp_path).split())

    assert isinstance(result.exception, UserError), result.output
    assert what in result.exception.what
    assert str(tmp_path / "recipe.lock.json") in result.exception.what
    assert result.exception.do


def test_the_lock_with_the_shards_says_nothing_of_the_root() -> None:
    lock = earlier().model_copy(update={"root_version": 2, "adopted": {"a": "b"}})
    kept = lock.for_shards()
    assert not {"root_version", "adopted", "shards"} & kept.keys()
    assert not {"executor", "retry"} & kept["recipe"].keys()
    assert kept["fingerprints"] == lock.fingerprints
