"""The result of a transfer as JSON: a child writes it next to the file that it fetched, the parent reads it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

from interlink.fetch.local import Subtitle

if TYPE_CHECKING:
    from interlink.fetch.ytdlp import Fetched

NAME = "fetched.json"  # in the transfer's folder


def write(folder: Path, found: Fetched) -> None:
    """Writes the result."""
    subtitles = [[one.name, one.language, base64.b64encode(one.data).decode()] for one in found.subtitles]
    answer = {"file": found.file.name, "title": found.title, "info": found.info, "subtitles": subtitles}
    (folder / NAME).write_text(json.dumps({**answer, "lost": found.lost}), encoding="utf-8", errors="surrogatepass")


def read(folder: Path) -> Fetched:
    """The result in a transfer's folder; its file lies there."""
    from interlink.fetch.ytdlp import Fetched

    answer = json.loads((folder / NAME).read_text(encoding="utf-8", errors="surrogatepass"))
    subtitles = [Subtitle(name, language, base64.b64decode(data)) for name, language, data in answer["subtitles"]]
    return Fetched(folder / Path(answer["file"]).name, answer["title"], answer["info"], subtitles, answer["lost"])
