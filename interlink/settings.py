"""What every block of a recipe is, and the marks that say how a field enters a stage's fingerprint.

A field has a description (`interlink stages` prints it) and may have one of these marks:

    operational  how a stage works, not what its rows say (workers, time limits): never in the fingerprint
    private      not stored in the locks of a build, because it may hold or lead to a secret
    added        came after its block was first released: in the fingerprint only where it differs from its default

A block says in `unread` which fields have no effect under the present choice, such as the blocks of other engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo

_KEY = "interlink"  # of json_schema_extra


class Settings(BaseModel):
    """Base of every block of a recipe: unknown keys are refused, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def unread(self) -> frozenset[str]:
        """Names of the fields that nothing reads under the present choice. They are in no fingerprint."""
        return frozenset()


@dataclass(frozen=True)
class Marks:
    """See the module.

    private: the value is never stored, such as a proxy with a password. since_rule: the fingerprint rule from which on
    an operational field is left out.
    """

    operational: bool = False
    added: bool = False
    private: bool = False
    since_rule: int = 1


def added(default: Any, description: str, **limits: Any) -> Any:
    """A field that was added to a released block; `limits` as for pydantic's Field (ge, le, …).

    A later change of its default must raise the stage's `version`: rows made with the old one have this fingerprint.
    """
    return _marked(Marks(added=True), default, description, limits)


def operational(default: Any, description: str, *, since_rule: int = 1, private: bool = False, **limits: Any) -> Any:
    """A field that changes how a stage works but not what its rows say."""
    return _marked(Marks(operational=True, private=private, since_rule=since_rule), default, description, limits)


def _marked(marks: Marks, default: Any, description: str, limits: Mapping[str, Any]) -> Any:
    extra: Any = {_KEY: marks}
    return Field(default, description=description, json_schema_extra=extra, **limits)


def marks_of(field: FieldInfo) -> Marks:
    """The marks of a field; a plain pydantic Field has none."""
    extra: Any = field.json_schema_extra
    found = extra.get(_KEY) if isinstance(extra, dict) else None
    return found if isinstance(found, Marks) else Marks()
