"""Builds from annotations that exist already: clips, captions and speech are read, and nothing computes them."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from builds import locked, make
from interlink.api import Build
from interlink.errors import UserError
from interlink.recipe import Recipe
from interlink.release import ReleaseSettings

STAGES = "stages=[download, annotations, transcribe, keyframes, caption, interleave, shard]"
GIVEN = ("keyframes.segmenter=annotations", "caption.engine=annotations")


def rows(build: Build, stage: str) -> dict[str, dict[str, Any]]:
    prints = locked(build.workspace).fingerprints
    return {
        key: row
        for name, _ in build.workspace.partitions()
        for key, row in build.workspace.partition(stage, prints[stage], name).rows().items()
    }


def told(tsv: Path) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {}
    with tsv.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            found.setdefault(row["path"], []).extend(json.loads(row["clips"]))
    return found


@pytest.fixture(scope="module")
def three_clips(sample_clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three of the sample videos without their subtitles."""
    folder = tmp_path_factory.mktemp("three") / "clips"
    folder.mkdir()
    for path in sorted(sample_clips.glob("*.mp4"))[:3]:
        shutil.copy(path, folder)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.mp4"))


def seconds(text: str) -> list[float]:
    return [sum(60**n * int(part) for n, part in enumerate(reversed(t.split(":")))) for t in text.split(" - ")]


def test_a_release_builds_the_same_captions_again(sample_clips: Path, tmp_path: Path) -> None:
    # Published times are whole seconds.
    first = make(tmp_path / "first", sample_clips, "keyframes.segmenter=fixed", "keyframes.length=2")
    first.run(limit=3)
    first.release(["howto"], str(tmp_path / "release"), ReleaseSettings(val_share=0))
    (published,) = (tmp_path / "release" / "howto").glob("*all_clips_train.tsv")

    again = make(tmp_path / "again", sample_clips, STAGES, *GIVEN, f"annotations.clips.path={published}",
                 "annotations.clips.clock=container", "interleave.include_speech=false")  # fmt: skip
    status = again.run().status
    assert status.documents == 3 and not any(stage.failed for stage in status.stages.values())
    assert status.stages["annotations"].reasons == {"not_annotated": 3}  # the three that were not built
    assert again.verify() == []
    wanted = told(published)
    for document in again.documents():
        captioned = [clip for clip in document["clips"] if clip["caption"]]
        published_clips = wanted[document["source"]["path"]]
        assert [clip["caption"] for clip in captioned] == [clip["caption"] for clip in published_clips]
        for clip, given in zip(captioned, published_clips, strict=True):
            begin, end = seconds(given["clip"])
            assert clip["start"] == pytest.approx(begin, abs=0.1) and clip["end"] <= end + 0.3  # the last picture
        assert re.fullmatch(rf"{re.escape(published.name)}@[0-9a-f]{{16}}", document["provenance"]["models"]["caption"])
    why = again.why(next(iter(rows(again, "interleave"))))
    assert any("caption.caption" in clip.facts for clip in why.clips)


def test_steps_and_speech_of_others_take_the_place_of_engines(three_clips: Path, tmp_path: Path) -> None:
    one, two, _ = names(three_clips)
    steps = {one: {"annotations": [{"segment": [0.5, 2], "sentence": "pour the milk"},
                                   {"segment": [3, 4.5], "sentence": "stir it"}]},
             two: {"annotations": [{"segment": [0, 1], "sentence": "cut the bread"}]}}  # fmt: skip
    (tmp_path / "youcookii.json").write_text(json.dumps({"database": steps, "version": "1"}))
    speech = {one: {"start": [0.6, 3.1], "end": [1.9, 4.4], "text": ["Now we pour.", "And we stir it well."]}}
    (tmp_path / "caption.json").write_text(json.dumps(speech))
    sets = (STAGES, *GIVEN, f"annotations.clips.path={tmp_path / 'youcookii.json'}",
            f"annotations.speech.path={tmp_path / 'caption.json'}", "annotations.speech.missing=keep")  # fmt: skip
    build = make(tmp_path / "root", three_clips, *sets)
    status = build.run().status
    assert status.stages["annotations"].reasons == {"not_annotated": 1}
    assert not any(stage.failed for stage in status.stages.values()) and build.verify() == []
    by_path = {document["source"]["path"]: document for document in build.documents()}
    assert set(by_path) == {f"{one}.mp4", f"{two}.mp4"}

    clips = by_path[f"{one}.mp4"]["clips"]
    assert [(clip["caption"], clip["speech"]) for clip in clips] == [
        ("pour the milk", "Now we pour."),
        ("stir it", "And we stir it well."),
    ]
    assert [clip["start"] for clip in clips] == pytest.approx([0.5, 3], abs=0.1)
    heard = {key.rpartition("-")[0]: row for key, row in rows(build, "transcribe").items()}
    assert heard[one]["source"] == "annotations" and heard[one]["model"] == "caption.json"
    assert heard[two]["source"] == "none"  # the recipe lets speech be absent
    kept = {key.rpartition("-")[0]: row["clips"] for key, row in rows(build, "keyframes").items()}
    assert len(kept[one]) >= 4  # what lies between the steps has clips of its own, which nobody tells
    flags = [clip["flag"] for row in rows(build, "caption").values() for clip in row["clips"]]
    assert flags.count("") == 3 and set(flags) == {"", "not_annotated"}
    assert not build.run().worked


def test_a_column_of_the_list_tells_the_whole_video(three_clips: Path, tmp_path: Path) -> None:
    """WebVid's table: a row a video, its text in `name`."""
    paths = sorted(three_clips.glob("*.mp4"))
    table = tmp_path / "results.csv"
    rows_ = "".join(f'{number},{path},"a hand, with number {number}"\n' for number, path in enumerate(paths))
    table.write_text("videoid,path,name\n" + rows_)
    recipe = "webvid"
    build = Build(
        recipe, tmp_path / "root", [f"source.path={table}", f"source.files_below={three_clips}", "executor.kind=inline"]
    )
    assert build.run().status.documents == 3 and build.verify() == []
    for document in build.documents():
        assert [clip["caption"] for clip in document["clips"]] == [
            f"a hand, with number {document['source']['video_id']}"
        ]
        assert document["provenance"]["models"]["caption"] == "source list"


def test_speech_stands_in_where_an_annotation_is_missing(three_clips: Path, tmp_path: Path) -> None:
    one = names(three_clips)[0]
    (tmp_path / "clips.json").write_text(json.dumps({one: {"timestamps": [[0, 1]], "sentences": ["a hand"]}}))
    (tmp_path / "said.json").write_text(json.dumps({one: {"start": [2.0], "end": [3.0], "text": ["Look here."]}}))
    sets = (STAGES, *GIVEN, f"annotations.clips.path={tmp_path / 'clips.json'}",
            f"annotations.speech.path={tmp_path / 'said.json'}", "caption.annotations.missing=speech")  # fmt: skip
    build = make(tmp_path / "root", three_clips, *sets)
    build.run()
    (document,) = build.documents()
    assert [clip["caption"] for clip in document["clips"]] == ["a hand", "Look here."]


def test_damage_in_a_file_costs_only_its_video(three_clips: Path, tmp_path: Path) -> None:
    one, two, _ = names(three_clips)
    table = tmp_path / "published.tsv"
    table.write_text(
        f'path\tclips\n{one}.mp4\t[{{"clip"\n{two}.mp4\t[{{"clip": "0:00:00 - 0:00:02", "caption": "a"}}]\n'
    )
    build = make(tmp_path / "root", three_clips, STAGES, *GIVEN, f"annotations.clips.path={table}")
    status = build.run().status
    assert status.documents == 1 and status.stages["annotations"].errors == {"unreadable": 1}
    (trouble,) = [one for one in build.troubles() if one.outcome == "failed"]
    assert f"published.tsv, video {one} (byte 11)" in trouble.message


def test_a_wrong_recipe_is_told_before_anything_runs(three_clips: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="caption reads annotations, which no earlier stage makes"):
        make(tmp_path / "a", three_clips, "caption.engine=annotations")
    with pytest.raises(UserError, match=r"cannot read .*gone\.json"):
        make(tmp_path / "b", three_clips, STAGES, *GIVEN, f"annotations.clips.path={tmp_path / 'gone.json'}").run()
    with pytest.raises(UserError, match="has nothing to read"):
        make(tmp_path / "c", three_clips, STAGES).run()
    with pytest.raises(
        UserError, match=r"set either a file \(path\) or columns of the source list \(columns\), not both"
    ):
        make(tmp_path / "d", three_clips, STAGES, "annotations.clips.path=x", "annotations.clips.columns=[title]")


def test_the_annotations_block_counts_with_its_engine_only() -> None:
    def print_of(engine: str, **annotations: Any) -> str:
        caption = {"engine": engine, "annotations": annotations}
        recipe = {"source": {"path": "clips"}, "caption": caption}
        return Recipe.load(recipe, [STAGES]).fingerprints({})["caption"]

    assert print_of("transcript") == print_of("transcript", missing="speech")
    assert print_of("annotations") != print_of("annotations", missing="speech")
    assert print_of("annotations") == print_of("annotations", missing="nothing")  # its default


def test_times_count_from_where_a_player_begins(three_clips: Path, tmp_path: Path) -> None:
    """A transport stream begins later than 0 by its own clock."""
    import av

    clips = tmp_path / "clips"
    clips.mkdir()
    name = names(three_clips)[0]
    with av.open(str(three_clips / f"{name}.mp4")) as source, av.open(str(clips / f"{name}.ts"), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    (tmp_path / "steps.json").write_text(json.dumps({name: {"timestamps": [[0, 2], [2, 4]], "sentences": ["a", "b"]}}))
    starts = {}
    for clock in ("player", "container"):
        sets = (STAGES, *GIVEN, f"annotations.clips.path={tmp_path / 'steps.json'}", f"annotations.clips.clock={clock}")
        build = make(tmp_path / clock, clips, *sets)
        build.run(stages=["collect", "download", "annotations"])
        (row,) = rows(build, "annotations").values()
        starts[clock] = [span["start"] for span in row["clips"]["spans"]]
        assert row["clock_offset"] == (starts[clock][0] if clock == "player" else 0)
    assert starts["container"] == [0, 2]
    offset = starts["player"][0]
    assert offset > 0.1 and starts["player"] == pytest.approx([offset, offset + 2])
