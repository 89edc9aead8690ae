"""What `source.exclude_ids` names, against the items of a build: counts, and entries that name no item.

Costs one read of the ids of the generations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from interlink.fetch.exclusions import Exclusions
from interlink.ids import nearest
from interlink.report.lines import count
from interlink.runtime.workspace import Workspace


def exclusion_counts(workspace: Workspace, exclusions: Exclusions) -> dict[str, Any]:
    """videos and clips: how many of the items of the build are named; unknown: entries that name no item, with the
    first of them (example) and the id most like it (nearest), or empty. Empty where nothing is excluded."""
    if not exclusions:
        return {}
    known = workspace.known_ids()
    named = [item for item in exclusions.written if item in known]
    unknown = [item for item in exclusions.written if item not in known]
    near = nearest(exclusions.written[unknown[0]], sorted(known)) if unknown else []
    return {
        "videos": sum(item in exclusions.videos for item in named),
        "clips": sum(len(exclusions.clips.get(item, ())) for item in named),
        "unknown": len(unknown),
        "example": exclusions.written[unknown[0]] if unknown else "",
        "nearest": near[0] if near else "",
    }


def excluded_line(counts: Mapping[str, Any]) -> str:
    """One line for people: `excluded: 2 videos, 1 clip; 1 entry names no item (…)`; empty where nothing is."""
    if not counts:
        return ""
    line = f"excluded: {count(counts['videos'], 'video')}, {count(counts['clips'], 'clip')}"
    if not counts["unknown"]:
        return line
    entries = "1 entry names no item" if counts["unknown"] == 1 else f"{counts['unknown']:,} entries name no item"
    near = f", nearest {counts['nearest']}" if counts["nearest"] else ""
    return f"{line}; {entries} (for example {counts['example']}{near})"
