"""The document: canonical bytes, and laws that a broken one cannot pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from interlink.shards import document as documents
from interlink.shards.document import Document, count_tokens, join


def broken(found: Document, change: Callable[[dict[str, Any]], Any]) -> str:
    data = json.loads(found.dump())
    change(data)
    return json.dumps(data)


def test_what_is_dumped_is_read_back_equal(document: Callable[..., Document]) -> None:
    found = document("a", 3)

    assert documents.load(found.dump()) == found
    assert documents.load(found.dump().encode()).dump() == found.dump()


def clip_file(name: str) -> dict[str, Any]:
    return {"name": name, "how": "copy", "start": 0, "end": 1}


def test_times_may_stand_still_and_roles_have_clocks_of_their_own(document: Callable[..., Document]) -> None:
    def change(data: dict[str, Any]) -> None:
        data["segments"][2]["times"] = [0.5]  # as the frame before
        data["segments"][3].update(start=0, end=0)  # as the caption before; as long as nothing
        data["segments"].append({**data["segments"][3], "role": "speech", "start": -5})
        data["clips"][1].update(start=2, end=2)

    found = documents.load(broken(document("a"), change))
    assert [segment.clip for segment in found.segments] == [0, 0, 1, 1, 1]


def test_the_names_of_images_and_clip_files_come_in_order(document: Callable[..., Document]) -> None:
    def change(data: dict[str, Any]) -> None:
        data["clips"][0]["files"] = [clip_file("c0.mp4"), clip_file("c0.flac")]
        data["clips"][1]["files"] = [clip_file("c1.mp4")]

    found = documents.load(broken(document("a"), change))
    assert found.images() == ["000.jpg", "001.jpg"]
    assert found.files() == ["c0.mp4", "c0.flac", "c1.mp4"]
    assert found.text_tokens() == 2 * 5
    assert documents.image_name(7) == "007.jpg"


def test_numbers_are_rounded_to_the_microsecond_wherever_they_lie() -> None:
    value = {"a": [1.00000049, (2.0000006, -0.0)], "b": {"c": -0.0000001, "d": 3, "e": True, "f": "1.00000049"}}
    plain = documents.rounded(value)
    assert plain == {"a": [1.0, [2.000001, 0.0]], "b": {"c": 0.0, "d": 3, "e": True, "f": "1.00000049"}}
    assert documents.canonical(plain) == '{"a":[1.0,[2.000001,0.0]],"b":{"c":0.0,"d":3,"e":true,"f":"1.00000049"}}'
    with pytest.raises(ValueError, match="JSON compliant"):
        documents.canonical({"a": float("inf")})


def test_the_json_is_canonical(document: Callable[..., Document]) -> None:
    found = document("a", 1)
    found.clips[0].end = 1.00000049
    text = found.dump()

    assert '"end":1.0,' in text and "1.00000049" not in text
    assert "Zwölf" in text and ": " not in text.replace("Step", "")
    keys = list(json.loads(text))
    assert keys == sorted(keys)
    assert '"regions"' not in text and '"speech":""' in text  # None is left out, empty is told


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["segments"][0].update(clip=2), "segment 0 names clip 2 of 2"),
        (lambda d: d["segments"][0].update(clip=-1), "segment 0 names clip -1 of 2"),
        (lambda d: d["segments"][2].update(times=[0.4]), "frames go back in time to 0.4 s"),
        (lambda d: d["segments"][3].update(start=-1), "caption goes back in time to -1"),
        (lambda d: d["segments"][2].update(images=["000.jpg"]), "image 000.jpg is named twice"),
        (lambda d: d["segments"][2].update(times=[1.5, 1.6]), "has 1 images and 2 times"),
        (lambda d: d["segments"][1].update(end=-2), "segment 1 ends before it starts"),
        (lambda d: d["clips"][1].update(end=0.5), "clip 1 ends before it starts"),
        (lambda d: d["segments"][1].update(role="song"), "segments.1.text.role"),
        (lambda d: d.update(extra=1), "extra: Extra inputs"),
        (lambda d: d.pop("source"), "source: Field required"),
        (lambda d: d.update(format_version="99"), "format version '99'"),
        (lambda d: d["clips"][0].update(start=float("nan")), "clips.0.start"),
        (lambda d: d["clips"][0].update(files=[clip_file("c0.mp4"), clip_file("c0.mp4")]), "file is named twice"),
        (lambda d: [d["clips"][n].update(files=[clip_file("c0.mp4")]) for n in (0, 1)], "file is named twice"),
        (lambda d: d["segments"][0].update(times=[0.6, 0.5], images=["8.jpg", "9.jpg"]), "segment 0: frames go back"),
        (lambda d: d["segments"][2].update(images=["1.jpg", "1.jpg"], times=[1.5, 1.6]), "image 1.jpg is named twice"),
    ],
)
def test_a_broken_document_is_refused_with_what_is_wrong(
    document: Callable[..., Document], change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        documents.load(broken(document("a"), change))


def test_tokens_are_words_and_punctuation_marks() -> None:
    assert count_tokens("Don't stir, it's hot!") == 10
    assert count_tokens("  ") == 0
    assert count_tokens("먼저 물을 끓입니다.") == 4


def test_joined_texts_have_single_spaces() -> None:
    assert join(["  a\n b ", "", "c\t"]) == "a b c"
