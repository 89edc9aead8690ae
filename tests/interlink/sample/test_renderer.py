"""Files: the same bytes whatever is rendered beside them, and media that is what truth.json says."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from interlink.errors import UserError
from interlink.sample import SampleOptions, render, world

SHORT = {"steps": (2, 2), "step_seconds": (1.0, 1.5)}


def truth_of(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    return facts


def decoded(path: Path) -> tuple[list[float], list[Any], Any]:
    """(presentation times, RGB pictures as stored, the first frame) of a file."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [frame.time for frame in frames], [f.to_ndarray(format="rgb24").astype(int) for f in frames], frames[0]


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    render(folder, 4, 21, options=SampleOptions(fades=0.3, titles=0.5), processes=1)
    return folder


def test_a_video_has_the_same_bytes_whatever_is_rendered_beside_it(sample: Path, tmp_path: Path) -> None:
    options = SampleOptions(fades=0.3, titles=0.5)

    done: list[int] = []
    fewer = render(tmp_path / "fewer", 2, 21, options=options, processes=1, progress=done.append)
    again = render(tmp_path / "again", 4, 21, options=options, processes=1)

    assert done == [1, 2]
    assert [path.name for path in again] == sorted(path.name for path in sample.glob("*.mp4"))
    for path in (*fewer, *again, *(path.with_suffix(".en.vtt") for path in (*fewer, *again))):
        assert path.read_bytes() == (sample / path.name).read_bytes()
    assert (tmp_path / "again/truth.json").read_bytes() == (sample / "truth.json").read_bytes()


@pytest.mark.processes
def test_worker_processes_give_the_same_bytes(tmp_path: Path) -> None:
    options = SampleOptions(**SHORT)

    alone = render(tmp_path / "alone", 5, 3, options=options, processes=1)
    together = render(tmp_path / "together", 5, 3, options=options, processes=2)

    assert [p.read_bytes() for p in alone] == [p.read_bytes() for p in together]
    assert (tmp_path / "alone/truth.json").read_bytes() == (tmp_path / "together/truth.json").read_bytes()


def test_more_videos_of_the_same_world_join_the_folder_and_others_are_refused(tmp_path: Path) -> None:
    options = SampleOptions(**SHORT)
    render(tmp_path, 2, 3, options=options)
    render(tmp_path, 3, 3, options=options)
    render(tmp_path, 1, 3, options=options)

    assert len(truth_of(tmp_path)["videos"]) == 3 == len(list(tmp_path.glob("*.mp4")))
    with pytest.raises(UserError, match="another seed"):
        render(tmp_path, 1, 4, options=options)
    with pytest.raises(UserError, match="another seed"):
        render(tmp_path, 1, 3, "heldout", options=options)
    (tmp_path / "truth.json").write_text("[]")
    with pytest.raises(UserError, match=r"not the truth\.json"):
        render(tmp_path, 1, 3, options=options)


def test_wrong_requests_are_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot make the folder"):
        render(tmp_path / "file", 1, 3)
    with pytest.raises(UserError, match="0 videos"):
        render(tmp_path, 0, 3)
    with pytest.raises(UserError, match="negative"):
        render(tmp_path, 1, -3)


def test_nothing_but_videos_subtitles_and_truth_is_left(sample: Path) -> None:
    names = set(truth_of(sample)["videos"])
    expected = {f"{name}{suffix}" for name in names for suffix in (".mp4", ".en.vtt")} | {"truth.json"}
    assert {path.name for path in sample.iterdir()} == expected


def test_no_time_or_version_of_the_writer_is_in_the_container(sample: Path) -> None:
    with av.open(str(next(sample.glob("*.mp4")))) as container:
        assert not {"creation_time", "encoder"} & set(container.metadata)
        assert [stream.codec_context.name for stream in container.streams] == ["h264", "aac"]


def test_truth_tells_duration_size_and_cuts_at_their_presentation_times(sample: Path) -> None:
    facts = truth_of(sample)
    assert facts["seed"] == 21 and facts["split"] == "train"
    kinds = set()
    for name, video in facts["videos"].items():
        times, stills, first = decoded(sample / f"{name}.mp4")
        assert [first.width, first.height] == video["size"]
        assert len(times) == video["frames"]
        assert times == pytest.approx([n / video["fps"] for n in range(len(times))])
        assert video["duration"] == pytest.approx(times[-1] + 1 / video["fps"])
        change = np.array([np.abs(b - a).mean() for a, b in pairwise(stills)])
        hard = [cut["time"] for cut in video["cuts"] if cut["kind"] == "hard"]
        fading = [(cut["start"], cut["end"]) for cut in video["cuts"] if cut["kind"] == "fade"]
        still = [c for c, t in zip(change, times[1:], strict=True) if t not in hard and not inside(t, fading)]
        assert all(c > 2 * max(still) for c, t in zip(change, times[1:], strict=True) if t in hard)
        for cut in video["cuts"]:
            kinds.add(cut["kind"])
            assert cut["start"] <= cut["time"] <= cut["end"]
            assert (cut["start"] == cut["end"]) == (cut["kind"] == "hard") == (cut["style"] == "cut")
        assert [step["start"] for step in video["steps"][1:]] == [cut["time"] for cut in video["cuts"]]
        assert video["steps"][-1]["end"] == video["duration"]
    assert kinds == {"hard", "fade"}


def inside(time: float, spans: list[tuple[float, float]]) -> bool:
    return any(start <= time <= end for start, end in spans)


def test_a_title_is_seen_in_its_box_at_its_times(sample: Path) -> None:
    seen = 0
    for name, video in truth_of(sample)["videos"].items():
        times, stills, _ = decoded(sample / f"{name}.mp4")
        for title in video["titles"]:
            left, top, right, bottom = title["box"]
            for time, still in zip(times, stills, strict=True):
                if title["start"] <= time < title["end"]:
                    plate = still[top:bottom, left:right]
                    assert (plate.max(-1) < 70).mean() > 0.4 and (plate.min(-1) > 200).mean() > 0.04
                    seen += 1
    assert seen > 10


def test_subtitles_and_captions_say_what_truth_says(sample: Path) -> None:
    for name, video in truth_of(sample)["videos"].items():
        text = (sample / f"{name}.en.vtt").read_text(encoding="utf-8")
        assert text.startswith("WEBVTT\n\n")
        cues = re.findall(r"(\d\d):(\d\d):([\d.]+) --> (\d\d):(\d\d):([\d.]+)\n(.+)\n", text)
        assert len(cues) == len(video["steps"])
        for (h, m, s, hh, mm, ss, words), step in zip(cues, video["steps"], strict=True):
            assert int(h) * 3600 + int(m) * 60 + float(s) == pytest.approx(step["speech_start"], abs=6e-4)
            assert int(hh) * 3600 + int(mm) * 60 + float(ss) == pytest.approx(step["speech_end"], abs=6e-4)
            assert words == step["speech"]
            assert step["lead"] == pytest.approx(step["start"] - step["speech_start"], abs=1e-3)
            shown = (step["object"], step["colour"], step["action"])
            assert world.parts(words) == world.parts(step["caption"]) == shown


def test_there_is_sound_while_somebody_speaks_and_silence_between(sample: Path) -> None:
    for name, video in truth_of(sample)["videos"].items():
        with av.open(str(sample / f"{name}.mp4")) as container:
            blocks = [(frame.time, frame.to_ndarray()[0]) for frame in container.decode(audio=0)]
        rate = 16000
        wave = np.zeros(round((video["duration"] + 1) * rate))
        for time, block in blocks:
            wave[round(time * rate) : round(time * rate) + len(block)] = block
        speaking = np.zeros(len(wave), dtype=bool)
        near = speaking.copy()
        for step in video["steps"]:
            start, end = step["speech_start"], step["speech_end"]
            speaking[round(start * rate) : round(end * rate)] = True
            near[round(max(0.0, start - 0.05) * rate) : round((end + 0.05) * rate)] = True
        assert np.sqrt((wave[speaking] ** 2).mean()) > 0.03
        assert (~near).any() and np.abs(wave[~near]).max() < 0.01


def one(folder: Path, **options: Any) -> tuple[Path, dict[str, Any]]:
    path = render(folder, 1, 5, options=SampleOptions(**{**SHORT, **options}))[0]
    return path, truth_of(folder)["videos"][path.stem]


def test_silent_means_no_audio_stream_and_no_subtitles(tmp_path: Path) -> None:
    path, video = one(tmp_path, silent=True)

    with av.open(str(path)) as container:
        assert not container.streams.audio
    assert video["silent"] and not path.with_suffix(".en.vtt").exists()
    assert all(step["speech"] == "" and step["speech_start"] is None for step in video["steps"])


def test_vfr_leaves_frames_out_and_keeps_the_times_of_the_others(tmp_path: Path) -> None:
    path, video = one(tmp_path, vfr=True, steps=(3, 3), fades=0.0)
    times, stills, _ = decoded(path)

    grid = np.array(times) * video["fps"]
    assert grid == pytest.approx(grid.round()) and len(times) == video["frames"] < video["duration"] * video["fps"]
    assert len(set(np.diff(times).round(4))) > 1
    change = [np.abs(b - a).mean() for a, b in pairwise(stills)]
    largest = sorted(times[1 + n] for n in np.argsort(change)[-len(video["cuts"]) :])
    assert largest == pytest.approx([cut["time"] for cut in video["cuts"]])


def test_portrait_exchanges_width_and_height(tmp_path: Path) -> None:
    path, video = one(tmp_path, portrait=True)
    _, stills, _ = decoded(path)
    assert stills[0].shape == (320, 256, 3) and video["size"] == [256, 320]


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_rotated_video_is_stored_turned_and_says_so(tmp_path: Path, rotation: int) -> None:
    upright, _ = one(tmp_path / "upright")
    path, video = one(tmp_path / "turned", rotation=(rotation,))
    _, expected, _ = decoded(upright)
    _, stored, first = decoded(path)

    assert video["rotation"] == rotation and video["size"] == [320, 256]
    assert -first.rotation % 360 == rotation  # PyAV counts counterclockwise
    shown = np.rot90(stored[3], -rotation // 90)
    assert shown.shape == expected[3].shape and np.abs(shown - expected[3]).mean() < 3


def test_a_higher_frame_rate_and_another_size_show_the_same_steps(tmp_path: Path) -> None:
    path, video = one(tmp_path / "large", fps=25, width=480, height=272)
    _, small = one(tmp_path / "small")
    times, stills, _ = decoded(path)

    assert stills[0].shape == (272, 480, 3) and np.diff(times) == pytest.approx(1 / 25)
    assert [step["caption"] for step in video["steps"]] == [step["caption"] for step in small["steps"]]
    assert video["duration"] == pytest.approx(small["duration"], abs=0.2)


def test_the_folder_may_be_removed_and_made_again(tmp_path: Path) -> None:
    path, _ = one(tmp_path / "world")
    before = path.read_bytes()
    shutil.rmtree(tmp_path / "world")
    assert one(tmp_path / "world")[0].read_bytes() == before
