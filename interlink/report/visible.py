"""Text of third parties (titles, messages) as a terminal and a picture may show it: nothing in it is obeyed."""

from __future__ import annotations

import re

# Control characters (also those that begin terminal commands), lone surrogates, line separators, and the marks that
# change the direction of text. Escaped, they are seen and do nothing.
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def visible(text: str, keep: str = "") -> str:
    """The text with what cannot be seen as `\\x1b` or `\\u202e`. keep: characters that stay, such as newlines."""
    return _UNSEEN.sub(lambda found: found[0] if found[0] in keep else _escaped(found[0]), text)


def visible_json(text: str) -> str:
    """JSON with the same characters escaped; its own newlines stay."""
    return _UNSEEN.sub(lambda found: found[0] if found[0] == "\n" else f"\\u{ord(found[0]):04x}", text)


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 256 else f"\\u{ord(character):04x}"
