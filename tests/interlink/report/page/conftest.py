"""The build of the viewer's tests, with its hostile title and cue."""

from __future__ import annotations

from ..view.conftest import copied, root  # noqa: TID252

__all__ = ("copied", "root")
