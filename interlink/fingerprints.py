"""Fingerprints: 12 hex digits that stand for everything that shapes a stage's rows.

A stage's table lies in a folder named by its fingerprint, so rows made by other settings are never mixed with these,
and going back to earlier settings finds the earlier rows. A fingerprint covers the stage's name and version, the
settings that act on its rows (`interlink.settings` has the marks), and the fingerprints of the tables it reads. It does
not cover engines, segmenters and policies that are not chosen, nor anything operational.

Rule 1, of roots without a `root_version`, also covered the blocks that are not chosen. `adopted` lets such a root
continue.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from interlink.settings import Settings, marks_of

RULE = 2


@dataclass(frozen=True)
class Shape:
    """What shapes one stage's rows.

    implementation: `module:Class`; it counts where it is third-party (rule 1 counted it always).
    """

    stage: str
    version: int
    implementation: str
    third_party: bool
    settings: Settings
    needs: tuple[str, ...]
    excluded: str = ""  # digest of what its rows leave out by `source.exclude_ids`


def fingerprints(shapes: Iterable[Shape], fresh: Mapping[str, int], rule: int = RULE) -> dict[str, str]:
    """Stage → fingerprint, for stages in the order of a recipe. fresh: how often `--fresh` has named a stage."""
    found: dict[str, str] = {}
    for shape in shapes:
        content: dict[str, Any] = {
            "stage": shape.stage,
            "version": shape.version,
            "settings": acting(shape.settings, rule),
            "needs": {table: found[table] for table in shape.needs},
            "fresh": fresh.get(shape.stage, 0),
        }
        if shape.excluded:
            content["excluded"] = shape.excluded
        if rule == 1 or shape.third_party:
            content["implementation"] = shape.implementation
        found[shape.stage] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
    return found


def acting(settings: Settings, rule: int = RULE) -> dict[str, Any]:
    """The settings of a block that act on rows, as plain data; blocks inside it likewise."""
    data = settings.model_dump(mode="json")
    unread = settings.unread() if rule > 1 else frozenset()
    for name, field in type(settings).model_fields.items():
        marks, value = marks_of(field), getattr(settings, name)
        hidden = name in unread or (marks.operational and rule >= marks.since_rule)
        if hidden or (marks.added and value == field.get_default(call_default_factory=True)):
            del data[name]
        elif isinstance(value, Settings):
            data[name] = acting(value, rule)
    return data


def adopted(shapes: Iterable[Shape], fresh: Mapping[str, int], locked: Mapping[str, str]) -> dict[str, str]:
    """New fingerprint → the one in a lock of rule 1, for the stages with the same rows under both.

    shapes: of the recipe that the lock holds. If the rule-1 fingerprint of a stage cannot be computed again (its
    version was raised since), it has no entry: its rows are computed again, and the build reports the stage.
    """
    shapes = list(shapes)
    old, new = fingerprints(shapes, fresh, rule=1), fingerprints(shapes, fresh)
    return {new[stage]: print_ for stage, print_ in locked.items() if old.get(stage) == print_}
