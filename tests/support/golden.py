"""Reads files of golden values: sizes from the arrays, the rest from a `config` entry (JSON), where there is one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np


def config_of(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """What shapes do not say (heads, top k, activation); empty if the file has no such entry."""
    if "config" not in arrays:
        return {}
    entry = np.asarray(arrays["config"])
    text = entry.tobytes().decode() if entry.dtype == np.uint8 else str(entry.item())
    found: dict[str, Any] = json.loads(text)
    return found


def count(names: Mapping[str, Any], prefix: str) -> int:
    """The number of layers under a prefix: `prefix0.…`, `prefix1.…`."""
    return len({name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix)})
