"""The time line of a video as SVG: a lane each for clips, frames, speech, captions, text on screen, and two scores.

Every mark has its time, which the page's script seeks to, and a title that says what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from markupsafe import Markup

from interlink.report.view.document import Clip, Video

WIDTH, LEFT = 1000, 90  # LEFT: of the lanes' names
_LANES = ("clips", "frames", "speech", "captions", "on screen", "sharp · light")
_HEIGHT = 26


def timeline(video: Video, document: str = "") -> Markup:
    """document: the key whose clips are drawn strongest; empty: those of all documents."""
    scale = (WIDTH - LEFT) / max(video.duration - min(video.start, 0), 0.001)
    lanes = [name for name in _LANES if name != "on screen" or video.screen]
    parts = [f'<text class="lane" x="0" y="{n * _HEIGHT + 17}">{escape(name)}</text>' for n, name in enumerate(lanes)]
    for n, name in enumerate(lanes):
        for start, end, kind, title in _marks(name, video, document):
            left = LEFT + (start - min(video.start, 0)) * scale
            width = max((end - start) * scale - 1, 2.5)
            parts.append(
                f'<rect class="{kind}" x="{left:.2f}" y="{n * _HEIGHT + 4}" width="{width:.2f}" height="18" rx="1.5" '
                f'data-time="{start:.3f}"><title>{escape(title)}</title></rect>'
            )
        if name == "sharp · light":
            parts += _scores(video, n * _HEIGHT, scale)
    height = len(lanes) * _HEIGHT
    head = f'<line id="playhead" x1="{LEFT}" x2="{LEFT}" y1="0" y2="{height}"/>'
    return Markup(
        f'<svg id="timeline" viewBox="0 0 {WIDTH} {height}" role="img" data-left="{LEFT}" data-scale="{scale:.6f}" '
        f'data-start="{min(video.start, 0):.3f}" aria-label="time line of {escape(video.title)}, '
        f'{video.duration:.1f} seconds">{"".join(parts)}{head}</svg>'
    )


def _marks(lane: str, video: Video, document: str) -> Iterator[tuple[float, float, str, str]]:
    """(start, end, class, title) of each mark in a lane."""
    if lane == "clips":
        for clip in video.clips:
            kind = "left" if clip.reason else "used" if document in ("", clip.document) else "other"
            yield clip.start, clip.end, f"clip {kind}", f"clip {clip.number}, {_span(clip)}: {_fate(clip)}"
    elif lane == "frames":
        for clip in video.clips:
            for number, time, name in clip.frames:
                shown = document in ("", name.partition(".")[0]) and name
                yield (
                    time,
                    time,
                    f"frame {'used' if shown else 'unused'}",
                    (f"frame {number} of clip {clip.number}, {time:.2f} s: {'used' if name else 'not used'}"),
                )
    elif lane == "captions":
        for clip in video.clips:
            if clip.caption:
                yield clip.start, clip.end, "caption", clip.caption
    elif lane in ("speech", "on screen"):
        for span in video.speech if lane == "speech" else video.screen:
            yield span.start, span.end, "speech" if lane == "speech" else "screen", span.text


def _scores(video: Video, top: float, scale: float) -> Iterator[str]:
    """Two bars per clip: sharpness on the left half, against the video's sharpest; light on the right."""
    sharpest = max((clip.scores.get("sharpness", 0.0) for clip in video.clips), default=0.0) or 1.0
    for clip in video.clips:
        left = LEFT + (clip.start - min(video.start, 0)) * scale
        half = max((clip.end - clip.start) * scale / 2 - 0.7, 1)
        for n, (name, most) in enumerate((("sharpness", sharpest), ("light", 1.0))):
            value = clip.scores.get(name)
            if value is None:
                continue
            height = max(1.5, 20 * min(1.0, value / most))
            yield (
                f'<rect class="{name}" x="{left + n * half:.2f}" y="{top + 24 - height:.2f}" width="{half:.2f}" '
                f'height="{height:.2f}" data-time="{clip.start:.3f}"><title>{name} {value:.3g}</title></rect>'
            )


def _span(clip: Clip) -> str:
    return f"{clip.start:.2f}–{clip.end:.2f} s"


def _fate(clip: Clip) -> str:
    return f"in {clip.document}" if clip.document else clip.reason.replace("_", " ") or "in no document"
