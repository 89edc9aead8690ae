"""The lock of a root: which are refused, and what is kept with the shards."""

from __future__ import annotations

import json

import pytest

from interlink.errors import UserError
from interlink.runtime.lock import ROOT_VERSION, Lock, decode, encode

WHOLE = {"recipe": {"seed": 1}, "fingerprints": {"collect": "f"}}


def test_a_lock_is_read_as_it_was_written() -> None:
    lock = Lock(root_version=2, recipe={"title": "Äpfel"}, fingerprints={"a": "b"}, fresh={"a": 3}, shards="s")
    data = encode(lock.model_dump(mode="json"))
    assert decode(data, "here") == lock
    assert "Äpfel".encode() in data and data.endswith(b"}\n")


def test_a_lock_without_a_version_is_of_the_first_and_its_unknown_fields_are_passed_over() -> None:
    lock = decode(json.dumps({**WHOLE, "later": 1}).encode(), "here")
    assert lock.root_version == 1
    assert (lock.fresh, lock.adopted, lock.versions, lock.shards) == ({}, {}, {}, "")


@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"\xff", json.dumps({**WHOLE, "recipe": {}}).encode(),
     json.dumps({**WHOLE, "fingerprints": {}}).encode(), json.dumps({**WHOLE, "fresh": {"a": "x"}}).encode()],
)  # fmt: skip
def test_a_damaged_lock_is_refused_in_two_lines(data: bytes) -> None:
    with pytest.raises(UserError, match=r"^/r/recipe.lock.json is damaged: .") as caught:
        decode(data, "/r/recipe.lock.json")
    assert "\n" not in caught.value.what and "finished rows are found" in caught.value.do


def test_pydantics_first_line_says_what_is_damaged() -> None:
    with pytest.raises(UserError, match=r"is damaged: 1 validation error for Lock"):
        decode(json.dumps({**WHOLE, "fresh": {"a": "x"}}).encode(), "here")


@pytest.mark.parametrize(("version", "refused"), [(1, False), (ROOT_VERSION, False), (ROOT_VERSION + 1, True)])
def test_only_newer_roots_are_refused(version: int, refused: bool) -> None:
    data = json.dumps({**WHOLE, "root_version": version}).encode()
    if refused:
        with pytest.raises(UserError, match=rf"here has root version {version}; .* up to {ROOT_VERSION}"):
            decode(data, "here")
    else:
        assert decode(data, "here").root_version == version


def test_shards_keep_what_shaped_them_and_nothing_of_the_root() -> None:
    recipe = {"seed": 1, "executor": {"kind": "ray"}, "retry": {}}
    lock = Lock(recipe=recipe, fingerprints={"a": "b"}, adopted={"x": "y"}, versions={"av": "1"}, shards="s")
    kept = lock.for_shards()
    assert kept["recipe"] == {"seed": 1}
    assert sorted(kept) == ["fingerprints", "format_version", "fresh", "recipe", "versions"]
