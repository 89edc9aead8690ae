"""Writes the same captions in every format that is read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape

Said = Sequence[tuple[float, float, str]]  # (start, end, text with "\n" between lines), milliseconds exact


def clock(seconds: float, point: str = ".", digits: int = 3, hours: str = "02d") -> str:
    whole, fraction = divmod(round(seconds * 10**digits), 10**digits)
    return f"{whole // 3600:{hours}}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{fraction:0{digits}d}"


def vtt(said: Said) -> str:
    cues = [f"{clock(start)} --> {clock(end)}\n{escape(text, quote=False)}\n" for start, end, text in said]
    return "WEBVTT\n\n" + "\n".join(cues)


def srt(said: Said) -> str:
    return "\n".join(
        f"{number}\n{clock(start, ',')} --> {clock(end, ',')}\n{text}\n"
        for number, (start, end, text) in enumerate(said, start=1)
    )


def sbv(said: Said) -> str:
    return "\n".join(
        f"{clock(start, hours='d')},{clock(end, hours='d')}\n{text.replace(chr(10), '[br]')}\n"
        for start, end, text in said
    )


def json3(said: Said) -> str:
    events = [{"tStartMs": 0, "dDurationMs": 9999, "id": 1, "wpWinPosId": 1}]
    for start, end, text in said:
        milliseconds = {"tStartMs": round(start * 1000), "dDurationMs": round((end - start) * 1000)}
        events.append({**milliseconds, "segs": [{"utf8": text}]})  # type: ignore[dict-item]
    return json.dumps({"wireMagic": "pb3", "events": events})


def srv1(said: Said) -> str:
    body = "".join(
        f'<text start="{start:g}" dur="{end - start:.3f}">{escape(escape(text))}</text>' for start, end, text in said
    )
    return f'<?xml version="1.0" encoding="utf-8" ?><transcript>{body}</transcript>'


def srv2(said: Said) -> str:
    body = "".join(
        f'<text t="{round(start * 1000)}" d="{round((end - start) * 1000)}">{escape(text)}</text>'
        for start, end, text in said
    )
    return f'<?xml version="1.0" encoding="utf-8" ?><timedtext>{body}</timedtext>'


def srv3(said: Said) -> str:
    body = "\n".join(
        f'<p t="{round(start * 1000)}" d="{round((end - start) * 1000)}">{escape(text)}</p>'
        for start, end, text in said
    )
    head = '<head><ws id="0"/><wp id="0"/></head>'
    return f'<?xml version="1.0" encoding="utf-8" ?><timedtext format="3">\n{head}\n<body>\n{body}\n</body></timedtext>'


def ttml(said: Said) -> str:
    body = "\n".join(
        f'<p begin="{clock(start)}" end="{clock(end)}" style="s1">{escape(text).replace(chr(10), "<br/>")}</p>'
        for start, end, text in said
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<tt xmlns="http://www.w3.org/ns/ttml" xml:lang="en">\n'
        '<head><styling><style xml:id="s1" color="white"></style></styling></head>\n'
        f"<body><div>\n{body}\n</div></body></tt>"
    )


def ass(said: Said) -> str:
    """Hundredths of a second are all that this format holds."""
    lines = [
        f"Dialogue: 0,{clock(start, digits=2, hours='d')},{clock(end, digits=2, hours='d')},Default,,0,0,0,,"
        + text.replace("\n", "\\N")
        for start, end, text in said
    ]
    head = (
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname\nStyle: Default,Arial\n\n[Events]\n"
    )
    fields = "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
    return head + fields + "\n".join(lines) + "\n"


WRITERS: dict[str, Callable[[Said], str]] = {
    "vtt": vtt,
    "srt": srt,
    "sbv": sbv,
    "json3": json3,
    "srv1": srv1,
    "srv2": srv2,
    "srv3": srv3,
    "ttml": ttml,
    "ssa": ass,
}
