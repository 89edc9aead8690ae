"""Scanning: the entries of an object are found without parsing, exactly as a JSON reader finds them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink.annotations.scan import json_entries, lines

texts = st.text(max_size=12) | st.sampled_from(['"', "\\", '\\"', "{", "]", "a, b", ":", "\n", "é", "\u2028"])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def entries(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, offset, size in json_entries(data):
        found[key] = json.loads(b"{" + data[offset : offset + size] + b"}")[key]
    return found


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(texts.filter(lambda key: key != "database"), values, max_size=6), st.booleans(), st.booleans())
def test_every_entry_is_found_and_nothing_else(content: dict[str, Any], ascii_: bool, spaced: bool) -> None:
    data = json.dumps(content, ensure_ascii=ascii_, indent=2 if spaced else None).encode("utf-8", "surrogatepass")
    assert entries(data) == content
    assert entries(b"\xef\xbb\xbf" + data) == content


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(texts, st.lists(texts, min_size=1), min_size=1, max_size=3), st.data())
def test_a_file_that_ends_too_soon_is_refused(content: dict[str, Any], data: st.DataObject) -> None:
    whole = json.dumps(content).encode()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(ValueError, match=r"byte|truncated"):
        list(json_entries(whole[:cut]))


def test_the_videos_of_a_database_are_one_level_down() -> None:
    content = {"version": "1.0", "database": {"a": {"annotations": []}, "b": {"subset": "x"}}, "taxonomy": [1, 2]}
    assert sorted(entries(json.dumps(content).encode())) == ["a", "b", "taxonomy", "version"]


@pytest.mark.parametrize("data", [b"[1]", b"no", b'{"a" 1}', b'{"a": 1 "b": 2}', b'{"a": }', b"{a: 1}"])
def test_what_is_no_object_is_refused_with_its_place(data: bytes) -> None:
    with pytest.raises(ValueError, match="at byte"):
        list(json_entries(data))


def test_lines_have_their_offsets() -> None:
    data = b"one\r\n\n\ttwo\nlast"
    assert [(o, line, data[o : o + len(line)]) for o, line in lines(data)] == [
        (0, b"one", b"one"),
        (6, b"\ttwo", b"\ttwo"),
        (11, b"last", b"last"),
    ]
