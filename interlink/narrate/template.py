"""A prompt template: sections of one text, filled with what is known of a clip.

    ## system    the rules (optional)
    ## first     the request for a clip without previous narrations
    ## later     the request for a clip with previous narrations (absent: `first`, without history)
    ## retry     what is added when an answer was rejected (absent: no clip is asked for again)

`{title}`, `{caption}`, `{regions}`, `{speech}`, `{ocr}`, `{history}` stand for what is known; `{answer}`, `{problem}`
for the rejected answer. A line that holds only a label and an empty placeholder is left out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from interlink.prompts import load

VERSIONS = {"howto_interlink": "howto_interlink-2", "fuse": "fuse-1", "short": "short-1", "dense": "dense-1"}

_SECTIONS = ("system", "first", "later", "retry")
_HEADING = re.compile(r"^## *(\w+) *$", re.M)
_PLACE = re.compile(r"\{(title|caption|regions|speech|ocr|history|answer|problem)\}")
_LABELLED = re.compile(r"^[\w ]{1,20}: *\{(title|caption|regions|speech|ocr)\} *$")


@dataclass(frozen=True)
class Template:
    """A parsed template. text: the whole template; its hash is the prompt's hash."""

    text: str
    system: str
    first: str
    later: str
    retry: str

    @staticmethod
    def of_style(style: str) -> Template:
        """The newest version of a style's template."""
        return Template.parse(load(VERSIONS[style]))

    @staticmethod
    def parse(text: str) -> Template:
        """Raises ValueError where a section is unknown or repeated, or `first` is missing."""
        pieces = _HEADING.split(text.strip())
        names, bodies = pieces[1::2], [body.strip() for body in pieces[2::2]]
        if pieces[0].strip():
            raise ValueError("a template begins with a section, such as `## first`")
        for name in names:
            if name not in _SECTIONS:
                raise ValueError(f"a template has no section {name!r}; sections: {', '.join(_SECTIONS)}")
        if len(set(names)) < len(names):
            raise ValueError("a section of a template appears twice")
        found = dict(zip(names, bodies, strict=True))
        if not found.get("first"):
            raise ValueError("a template needs a section `## first`")
        return Template(text, *(found.get(name, "") for name in _SECTIONS))

    @property
    def remembers(self) -> bool:
        """Whether requests include previous narrations."""
        return "{history}" in self.later

    def request(self, known: Mapping[str, str]) -> str:
        """The request for a clip. `history` in `known` holds the previous narrations, or is empty."""
        return fill(self.later if known["history"] and self.later else self.first, known)

    def again(self, known: Mapping[str, str], answer: str, problem: str) -> str:
        """The request again, with the rejected answer and its problem."""
        return f"{self.request(known)}\n\n{fill(self.retry, {'answer': answer, 'problem': problem})}"


def fill(text: str, known: Mapping[str, str]) -> str:
    """The text with its placeholders filled. One pass, so that braces in a video's texts are not placeholders."""
    lines = []
    for line in text.split("\n"):
        label = _LABELLED.match(line)
        if label and not known.get(label[1], ""):
            continue
        lines.append(_PLACE.sub(lambda found: known.get(found[1], ""), line))
    return "\n".join(lines)
