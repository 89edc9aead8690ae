"""Which materials are judged on, and which defaults are chosen on."""

from __future__ import annotations

from pathlib import Path

from benchmarks.materials import (
    JUDGE,
    MOTION,
    SCREEN,
    TALK,
    TUNE,
    TUNE_TALK,
    Maker,
    Material,
    Shot,
    fixed_gop,
    world,
    x264,
)  # fmt: skip


def timed(maker: Maker) -> list[Material]:
    """The rows of the speed table."""
    slides = ("lecture_laion400m_slides.mp4", 240, 700)
    return [
        maker.talk("talk-gop2", TALK, _others(TALK), 600, 60, fixed_gop(2)),
        maker.talk("talk-gop5", TALK, _others(TALK), 600, 60, fixed_gop(5)),
        maker.talk("slides-gop5", slides, _others(slides), 600, 60, fixed_gop(5)),
        maker.spliced("film-cut-dense", JUDGE, 70, 0.8, 3.0, x264()),
        maker.spliced("motion-heavy", MOTION, 24, 3.0, 8.0, x264()),
        maker.spliced("screen-recording", SCREEN, 14, 6.0, 20.0, x264()),
    ]


def _others(talk: Shot) -> tuple[Shot, ...]:
    """The shots that come from other clips."""
    return tuple(shot for shot in JUDGE if shot[0] != talk[0])


def tuned(maker: Maker, folder: Path) -> list[Material]:
    """What the sweep sees."""
    return [
        maker.talk("tune-talk", TUNE_TALK, TUNE, 60, 10, fixed_gop(2)),
        maker.talk("tune-talk5", TUNE_TALK, TUNE, 60, 10, fixed_gop(5)),
        maker.spliced("tune-film", TUNE, 40, 0.8, 3.0, x264()),
        maker.spliced("tune-film-fixed", TUNE, 40, 0.8, 3.0, fixed_gop(2)),
        *(maker.faded(f"tune-joined-{n}", TUNE, 12, fixed_gop(2) if n % 2 else x264()) for n in range(4)),
        *world(folder / "world-tune", 10_001, 12),
    ]
