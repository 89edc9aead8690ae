"""The base class of every block of a recipe: unknown keys are refused, values are immutable. Imports only pydantic."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
