"""A recipe is checked before anything runs; a wrong key is told with the nearest right one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlink.errors import UserError
from interlink.recipe import Recipe, recipe_names

BASE: dict[str, Any] = {"name": "t", "source": {"path": "clips"}}


def load(data: dict[str, Any], *sets: str) -> Recipe:
    return Recipe.load({**BASE, **data}, sets)


@pytest.mark.parametrize(
    ("data", "wrong", "near"),
    [
        ({"keyframe": {}}, "unknown key 'keyframe'", "did you mean 'keyframes'?"),
        ({"keyframes": {"frames_per_clp": 2}}, "unknown key 'keyframes.frames_per_clp'", "keyframes.frames_per_clip"),
        ({"source": {"pth": "x"}}, "unknown key 'source.pth'", "source.path"),
        ({"stages": ["download", "keyframe"]}, "no stage 'keyframe'", "did you mean 'keyframes'?"),
        ({"keyframes": {"frames_per_clip": "many"}}, "keyframes.frames_per_clip", "interlink stages"),
        ({"stages": ["keyframes"]}, "keyframes reads download", "add download"),
    ],
)
def test_what_is_wrong_and_what_to_do(data: dict[str, Any], wrong: str, near: str) -> None:
    with pytest.raises(UserError) as error:
        load(data)
    assert error.value.code == 2
    assert wrong in error.value.what
    assert near in error.value.do


def test_set_is_typed_and_reaches_into_blocks() -> None:
    recipe = load({}, "keyframes.frames_per_clip=2", "seed=7", "stages=[download, keyframes]")
    assert recipe.base.seed == 7
    assert [block.name for block in recipe.blocks] == ["download", "keyframes"]
    assert recipe.blocks[1].settings.frames_per_clip == 2  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="not an assignment"):
        load({}, "seed")


def test_a_file_that_is_missing_or_no_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no recipe"):
        Recipe.load(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [")
    with pytest.raises(UserError, match=r"bad\.yaml cannot be read as YAML"):
        Recipe.load(tmp_path / "bad.yaml")


def test_a_fingerprint_covers_the_stage_and_all_above_it_and_nothing_else() -> None:
    plain = load({}).fingerprints({})
    changed = load({}, "keyframes.frames_per_clip=2").fingerprints({})
    assert plain["download"] == changed["download"]
    assert plain["transcribe"] == changed["transcribe"]
    for stage in ("keyframes", "caption", "interleave", "shard"):
        assert plain[stage] != changed[stage]


def test_what_changes_no_byte_changes_no_fingerprint() -> None:
    plain = load({}).fingerprints({})
    other = load({}, "executor.cpus=2", "download.concurrency=3", "max_failed_share=0.5", "retry.max_attempts=1")
    assert other.fingerprints({}) == plain


def test_fresh_makes_a_stage_and_all_below_it_anew() -> None:
    plain, fresh = load({}).fingerprints({}), load({}).fingerprints({"caption": 1})
    assert [stage for stage in plain if plain[stage] != fresh[stage]] == ["caption", "interleave", "shard"]


def test_the_dump_of_a_recipe_loads_to_the_same() -> None:
    recipe = load({}, "keyframes.frames_per_clip=2")
    assert Recipe.load(recipe.dump()).fingerprints({}) == recipe.fingerprints({})


def test_a_recipe_that_comes_along_is_found_by_its_name_and_a_file_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert [Recipe.load(name, ["source.path=x"]).name.replace("-", "_") for name in recipe_names()] == recipe_names()
    (tmp_path / "pages").mkdir()  # a folder is no recipe
    assert Recipe.load("pages", ["source.path=x"]).name == "pages"
    (tmp_path / "folder").write_text("name: mine\nsource: {path: clips}\n")
    assert Recipe.load("folder").name == "mine"
    with pytest.raises(UserError, match=r"^recipe sample: unknown key"):
        Recipe.load("sample", ["captions.engine=x"])


@pytest.mark.parametrize("name", ["foldr", "recipes/folder.yml"])
def test_an_unknown_recipe_names_the_nearest_and_lists_all(name: str) -> None:
    with pytest.raises(UserError) as error:
        Recipe.load(name)
    assert error.value.what == f"there is no recipe {name}"
    assert (
        error.value.do == f"did you mean 'folder'? If not, give a recipe file, or one of: {', '.join(recipe_names())}"
    )
    assert error.value.code == 2
