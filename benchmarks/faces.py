"""Precision and recall of the face detector behind `talking`, on frames of real clips that were labelled by eye.

A frame is positive if it shows a face of at least 0.2 of the height of the picture.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.materials import add_folders
from benchmarks.scores import wilson

# clip -> (times of frames with a large face, times of frames without), seconds
LABELS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "mixing_bowl_two_hosts.mp4": (
        (9.3, 10.3, 11.3),
        (0.33, 1.33, 2.34, 3.34, 4.34, 5.34, 6.34, 7.34, 8.34),
    ),
    "his_girl_friday.mp4": ((), (0.3, 1.3, 2.3, 3.3, 4.3, 5.3)),
    "sintel_trailer_30s.mp4": (
        (10.33, 12.33, 20.33),
        (0.33, 2.33, 4.33, 6.33, 8.33, 14.33, 16.33, 18.33, 22.33, 24.33, 26.33, 28.33),
    ),
    "tears_of_steel_battle.webm": (
        (6.33, 15.33, 18.33, 21.33, 24.33, 27.33, 36.33, 51.33),
        (
            *(0.33, 3.33, 9.33, 12.33, 30.33, 33.33, 39.33, 42.33),
            *(45.33, 48.33, 54.33, 57.33, 60.33, 63.33, 66.33, 69.33),
        ),
    ),
    "making_cake_portrait.mp4": ((0.3,), (2.3, 4.3, 6.3, 8.3)),
    "flipping_a_pancake.mkv": ((0.3, 3.3), (6.3, 9.3)),
    "stir_fry_onion_carrot.avi": ((0.3,), (1.81, 3.31, 4.81, 6.32, 7.82)),
    "cockatoo_hevc.mp4": ((), (0.3, 4.3, 8.3, 12.3)),
    "nasa_webb_multistream.mp4": ((), (0.32, 4.32, 8.32, 12.32)),
    "bikes_hard_cuts.mp4": ((), (0.32, 2.8, 5.32, 7.8)),
    "lecture_laion400m_slides.mp4": ((), (0.3, 40.3, 80.3, 120.3)),
    "flower_rot90_metadata.mp4": ((), (0.3, 3.3)),
    "testvideo_nature_cuts.mp4": ((), (0.3, 8.31, 16.32)),
}


def judge(path: Path, times: tuple[float, ...]) -> list[bool]:
    """Whether each frame, the first one at or after its time less 5 ms, has a large face."""
    import av

    from interlink.engines.detector import make_detector
    from interlink.media.look import Looker
    from interlink.media.orientation import orientation_of
    from interlink.media.probe import square_pixels

    faces, looker, wanted, found = make_detector("mtcnn"), Looker(), sorted(times), {}
    assert faces is not None
    with av.open(str(path)) as container:
        ratio = container.streams.video[0].sample_aspect_ratio or 1
        for frame in container.decode(video=0):
            while wanted and frame.time is not None and frame.time >= wanted[0] - 0.005:
                turn = orientation_of(frame)
                width, height = turn.size(*square_pixels(frame.width, frame.height, ratio))
                wide = max(1, round(width * faces.height / height))
                found[wanted.pop(0)] = faces.largest(looker.upright(frame, wide, faces.height)) > 0
            if not wanted:
                break
    return [found[time] for time in times]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks faces", description=__doc__)
    add_folders(parser)
    given = parser.parse_args(arguments)
    right = wrong = missed = clear = 0
    for name, (with_face, without) in LABELS.items():
        path = given.clips / name
        found, false = judge(path, with_face), judge(path, without)
        right, missed = right + sum(found), missed + len(found) - sum(found)
        wrong, clear = wrong + sum(false), clear + len(false) - sum(false)
    print(f"{right + wrong + missed + clear} frames, {right + missed} with a large face")
    print(f"precision {right}/{right + wrong}, 95 % {wilson(right, right + wrong)}")
    print(f"recall {right}/{right + missed}, 95 % {wilson(right, right + missed)}")
