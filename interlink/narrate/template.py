"""A prompt template: sections of one text, filled with what is known of a clip.

    ## system    the rules (may be absent)
    ## first     the request for a clip with nothing told before it
    ## later     the same with something told before (absent: `first`, and nothing is remembered)
    ## retry     what is added when an answer could not be used (absent: nothing is asked again)

`{title}`, `{caption}`, `{regions}`, `{speech}`, `{ocr}`, `{history}` stand for what is known, `{answer}`, `{problem}`
for what was wrong. A line whose only words are a label and an empty placeholder is left out.
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
    """text: the whole, whose hash is the prompt's."""

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
        """Raises ValueError where a section is not known, comes twice, or `first` is missing."""
        pieces = _HEADING.split(text.strip())
        names, bodies = pieces[1::2], [body.strip() for body in pieces[2::2]]
        if pieces[0].strip():
            raise ValueError("a template begins with a section, such as `## first`")
        for name in names:
            if name not in _SECTIONS:
                raise ValueError(f"a template has no section {name!r}; sections: {', '.join(_SECTIONS)}")
        if len(set(names)) < len(names):
            raise ValueError("a section of a template comes once")
        found = dict(zip(names, bodies, strict=True))
        if not found.get("first"):
            raise ValueError("a template needs a section `## first`")
        return Template(text, *(found.get(name, "") for name in _SECTIONS))

    @property
    def remembers(self) -> bool:
        """Whether what was told before is part of it."""
        return "{history}" in self.later

    def request(self, known: Mapping[str, str]) -> str:
        """The request for a clip; `history` in `known` is what was told before, empty for nothing."""
        return fill(self.later if known["history"] and self.later else self.first, known)

    def again(self, known: Mapping[str, str], answer: str, problem: str) -> str:
        """The request once more, with what was wrong with its answer."""
        return f"{self.request(known)}\n\n{fill(self.retry, {'answer': answer, 'problem': problem})}"


def fill(text: str, known: Mapping[str, str]) -> str:
    """The text with its placeholders filled in one pass, so that nothing a video says is read as a placeholder."""
    lines = []
    for line in text.split("\n"):
        label = _LABELLED.match(line)
        if label and not known.get(label[1], ""):
            continue
        lines.append(_PLACE.sub(lambda found: known.get(found[1], ""), line))
    return "\n".join(lines)
