"""A lenient reader of small XML files: builds a tree of elements by local names, even from damaged files.

It uses html.parser, which supports no document types and only HTML's entities, so nothing can be expanded. Reading
stops at a document type.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

DEEPEST = 50  # greatest depth; deeper elements become text of their parent


@dataclass
class Element:
    """name, attributes: local (no prefix), lowercase. content: text and elements, in order."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    content: list[str | Element] = field(default_factory=list)

    def elements(self) -> Iterator[Element]:
        """The child elements."""
        return (each for each in self.content if isinstance(each, Element))

    def walk(self) -> Iterator[Element]:
        """This element and all below it, in order."""
        yield self
        for each in self.elements():
            yield from each.walk()

    def text(self) -> str:
        """All text below, with a line break for every `br`."""
        if self.name == "br":
            return "\n"
        return "".join(each if isinstance(each, str) else each.text() for each in self.content)


def read_markup(text: str) -> tuple[Element, list[str]]:
    """(a root above all elements, problems)."""
    reader = _Reader()
    try:
        reader.feed(text)
        reader.close()
    except (AssertionError, ValueError) as error:  # html.parser raises these at invalid declarations
        reader.problems.append(f"reading stopped ({error})")
    if reader.stack and not reader.refused:
        reader.problems.append(f"the file ends inside <{reader.stack[-1].name}>")
    return reader.root, reader.problems


class _Reader(HTMLParser):
    single = frozenset({"p", "text"})  # in these formats they are never nested

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("")
        self.stack: list[Element] = []
        self.problems: list[str] = []
        self.refused = False

    def set_cdata_mode(self, elem: str, **modes: Any) -> None:
        """In XML every element, also `style` or `title`, contains markup."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = self._open(tag, attrs)
        if element is not None and element.name != "br":
            self.stack.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        name = _local(tag)
        if any(element.name == name for element in self.stack):
            while self.stack.pop().name != name:
                pass
        elif name != "br" and not self.refused:
            self.problems.append(f"line {self.getpos()[0]}: </{name}> without a start tag")

    def handle_data(self, data: str) -> None:
        if self.stack:
            self.stack[-1].content.append(data)

    def unknown_decl(self, data: str) -> None:
        if data.startswith("CDATA["):
            self.handle_data(data[len("CDATA[") :])

    def handle_decl(self, decl: str) -> None:
        if decl.upper().startswith("DOCTYPE"):
            self.problems.append("document types are not allowed")
            self.refused = True
            self.stack = []

    def _open(self, tag: str, attrs: list[tuple[str, str | None]]) -> Element | None:
        if self.refused:
            return None
        name = _local(tag)
        if name in self.single and any(element.name == name for element in self.stack):
            self.problems.append(f"line {self.getpos()[0]}: <{name}> inside <{name}>")
            while self.stack.pop().name != name:
                pass
        if len(self.stack) >= DEEPEST:
            return None
        element = Element(name, {_local(key): value or "" for key, value in reversed(attrs)})
        (self.stack[-1] if self.stack else self.root).content.append(element)
        return element


def _local(name: str) -> str:
    return name.rpartition(":")[2].lower()
