"""What every block of a recipe is, and the marks that say how a field enters a stage's fingerprint.

A field has a description (`interlink stages` prints it) and may have marks:

    operational  how a stage works, not what its rows say (workers, time limits): never in the fingerprint
    added        came after its block was first released: in the fingerprint only where it differs from its default
    when         acts only with these values of sibling fields ({"engine": ("openai",)}): else not in the fingerprint
    since_rule   marked operational since this fingerprint rule: earlier rules had it in the fingerprint
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


@dataclass(frozen=True)
class Marks:
    """See the module."""

    operational: bool = False
    added: bool = False
    when: Mapping[str, tuple[Any, ...]] | None = None
    since_rule: int = 1

    def acts(self, block: BaseModel) -> bool:
        """Whether the field has an effect, given its siblings in `block`. A sibling that is a tuple has each item."""
        for sibling, values in (self.when or {}).items():
            found = getattr(block, sibling)
            if not any(value in values for value in (found if isinstance(found, tuple) else (found,))):
                return False
        return True


def setting(
    default: Any,
    description: str,
    *,
    added: bool = False,
    when: Mapping[str, tuple[Any, ...]] | None = None,
    **limits: Any,
) -> Any:
    """A field with marks; `limits` as for pydantic's Field (ge, le, …)."""
    return _marked(Marks(added=added, when=when), default, description, limits)


def operational(default: Any, description: str, *, since_rule: int = 1, **limits: Any) -> Any:
    """A field that changes how a stage works but not what its rows say."""
    return _marked(Marks(operational=True, since_rule=since_rule), default, description, limits)


def _marked(marks: Marks, default: Any, description: str, limits: Mapping[str, Any]) -> Any:
    return Field(default, description=description, json_schema_extra={_KEY: marks}, **limits)  # type: ignore[dict-item]


def marks_of(field: FieldInfo) -> Marks:
    """The marks of a field; a plain pydantic Field has none."""
    extra = field.json_schema_extra
    found = extra.get(_KEY) if isinstance(extra, dict) else None
    return found if isinstance(found, Marks) else Marks()
