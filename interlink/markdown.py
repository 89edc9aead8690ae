"""Markdown for cards of releases and models, as the Hugging Face Hub shows them, and its names of licences."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Ids of the Hub (huggingface.co/docs/hub), except software licences.
_LICENCES = frozenset(
    (
        *("apache-2.0", "mit", "unlicense", "c-uda", "cdla-sharing-1.0", "cdla-permissive-1.0", "cdla-permissive-2.0"),
        *("cc", "cc0-1.0", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
        *("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
        *("cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "etalab-2.0", "gfdl", "odc-by", "odbl", "pddl"),
        *("openrail", "unknown"),
    )
)


def escaped(text: str) -> str:
    """The text escaped for Markdown and HTML, on one line."""
    text = re.sub(r"([\\`*_\[\]()#|~!])", r"\\\1", " ".join(text.split()))
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """A table in Markdown. Cells are escaped by the caller."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def hub_licence(licence: str) -> dict[str, str]:
    """The fields of a licence in the front matter of a card; none for none."""
    if not licence:
        return {}
    if licence.lower() in _LICENCES:
        return {"license": licence.lower()}
    name = re.sub(r"[^a-z0-9.]+", "-", licence.partition("://")[2] or licence, flags=re.IGNORECASE).strip("-").lower()
    link = licence_link(licence)
    return {"license": "other", "license_name": name, **({"license_link": link} if link else {})}


def licence_link(licence: str) -> str:
    """The URL of a licence: a URL itself, SPDX's page for an SPDX id (a word with a number, or MIT), else ''."""
    if "://" in licence:
        return licence
    name = licence.upper() if re.match(r"(cc|mit$)", licence, re.IGNORECASE) else licence
    return f"https://spdx.org/licenses/{name}.html" if re.fullmatch(r"[\w.+-]*\d[\w.+-]*|MIT", name, re.ASCII) else ""
