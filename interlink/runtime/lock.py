"""The lock of a root, `recipe.lock.json`: the recipe of its last build, and the folders where its rows lie.

Every command reads it through `decode`, which refuses a root of a newer version and names a damaged file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from interlink.errors import UserError
from interlink.tables import FORMAT_VERSION

NAME = "recipe.lock.json"
# 2: fingerprint rule 2. 3: several files of source rows. The document's format_version is another thing, and stays.
ROOT_VERSION = 3


_OF_THE_ROOT = ("root_version", "adopted", "shards", "excluded")  # what the shards' lock does not hold


class Lock(BaseModel):
    """root_version: of the layout of the root; a lock without it is of version 1.

    fingerprints: stage → folder of its table. adopted: fingerprint of today's rule → the one under which an earlier
    version of this program made the same rows. fresh: stage → how often `--fresh` named it. shards: folder, or empty.
    excluded: counts of what `source.exclude_ids` names (see interlink.runtime.excluding), or empty.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    root_version: int = 1
    format_version: str = FORMAT_VERSION
    recipe: dict[str, Any] = {}
    fingerprints: dict[str, str] = {}
    adopted: dict[str, str] = {}
    fresh: dict[str, int] = {}
    versions: dict[str, str] = {}
    shards: str = ""
    excluded: dict[str, Any] = {}

    def stored(self) -> dict[str, Any]:
        """What the file holds; `excluded` only where something is."""
        kept = self.model_dump(mode="json")
        return kept if self.excluded else {key: value for key, value in kept.items() if key != "excluded"}

    def for_shards(self) -> dict[str, Any]:
        """What is kept with the shards: all that shaped them, and nothing of the root or of how stages ran."""
        kept = {name: value for name, value in self.stored().items() if name not in _OF_THE_ROOT}
        kept["recipe"] = {key: value for key, value in kept["recipe"].items() if key not in ("executor", "retry")}
        return kept


def encode(lock: Mapping[str, Any]) -> bytes:
    """A lock's plain data as JSON for people and programs."""
    return (json.dumps(lock, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def decode(data: bytes, where: str) -> Lock:
    """The lock in `data`. Raises UserError where it is damaged or of a newer version; where: its name in messages."""
    try:
        found = Lock.model_validate(json.loads(data))
        if not (found.recipe and found.fingerprints):
            raise ValueError("it names no recipe or no fingerprints")
    except ValueError as error:  # of JSON, UTF-8 and pydantic
        first = str(error).splitlines()[0]
        raise UserError(
            f"{where} is damaged: {first}",
            "remove it and build again with the same recipe and --set: finished rows are found by their fingerprints",
        ) from error
    if found.root_version > ROOT_VERSION:
        raise UserError(
            f"{where} has root version {found.root_version}; this program knows versions up to {ROOT_VERSION}",
            "upgrade interlink: pip install --upgrade interlink",
        )
    return found
