"""What every block of a recipe is: unknown keys are refused, values are immutable. Light: imports pydantic alone."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
