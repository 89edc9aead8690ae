"""srv1, srv2, srv3: YouTube's timed text in XML. srv1 counts in seconds, the others in milliseconds.

srv3 gives each word (`s`) an offset in its paragraph (`p`); srv2 appends words as separate elements.
"""

from __future__ import annotations

import html

from interlink.subtitles.cues import CueMaker, Subtitles, in_seconds, until_next
from interlink.subtitles.markup import Element


def read_srv(root: Element, found: Subtitles) -> None:
    """Adds the cues of an srv1, srv2 or srv3 file to `found`."""
    elements = list(root.walk())
    shown = [element for element in elements if element.name in ("p", "text")]
    if any(element.name == "p" for element in shown):
        found.format = "srv3"
        _paragraphs(shown, found)
    elif any("t" in element.attributes for element in shown):
        found.format = "srv2"
        _appended(shown, found)
    else:
        found.format = "srv1"
        _texts(shown, found)
    found.cues = until_next(found.cues)


def _texts(shown: list[Element], found: Subtitles) -> None:
    for element in shown:
        times = _times(element, "start", "dur", 1.0, found)
        if times is not None:
            maker = CueMaker(*times)
            maker.add(html.unescape(element.text()))  # the text was escaped before it was put into XML
            _keep(maker, found)


def _appended(shown: list[Element], found: Subtitles) -> None:
    """An element with append="1" continues the line of the previous element in its window."""
    maker: CueMaker | None = None
    window = ""
    for element in shown:
        times = _times(element, "t", "d", 1000.0, found)
        if times is None:
            continue
        here = element.attributes.get("w", "")
        text = html.unescape(element.text())
        if maker is not None and element.attributes.get("append") == "1" and here == window and text.strip():
            maker.end = max(maker.end, *times)
            maker.stamp(times[0])
            maker.add(text)
            continue
        if maker is not None:
            _keep(maker, found)
        maker, window = CueMaker(*times), here
        maker.add(text)
    if maker is not None:
        _keep(maker, found)


def _paragraphs(shown: list[Element], found: Subtitles) -> None:
    for element in shown:
        times = _times(element, "t", "d", 1000.0, found)
        if times is None:
            continue
        maker = CueMaker(*times)
        for piece in element.content:
            if isinstance(piece, str):
                maker.add(piece)
                continue
            offset = _number(piece.attributes.get("t"), 1000)
            if offset is not None:
                maker.stamp(round(times[0] + offset, 3))
            maker.add(piece.text())
        _keep(maker, found)


def _times(
    element: Element, start: str, length: str, per_second: float, found: Subtitles
) -> tuple[float, float] | None:
    begin = _number(element.attributes.get(start), per_second)
    lasts = _number(element.attributes.get(length, "0"), per_second)
    if begin is None or lasts is None:
        found.problems.append(f"<{element.name}> without a valid time")
        return None
    return begin, round(begin + lasts, 3)


def _number(value: str | None, per_second: float) -> float | None:
    try:
        return in_seconds(float(value or ""), per_second)
    except ValueError:
        return None


def _keep(maker: CueMaker, found: Subtitles) -> None:
    cue = maker.cue()
    if cue is not None:
        found.cues.append(cue)
