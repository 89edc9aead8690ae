"""The lock of a root, `recipe.lock.json`: the recipe of its last build, and the folders where its rows lie.

Every command reads it through `decode`, which refuses a root of a newer version and names a damaged file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from interlink.errors import UserError

NAME = "recipe.lock.json"
ROOT_VERSION = 2  # 2: fingerprint rule 2. The document's format_version is another thing, and stays.


class Lock(BaseModel):
    """root_version: of the layout of the root; a lock without it is of version 1.

    fingerprints: stage → folder of its table. adopted: fingerprint of today's rule → the one under which an earlier
    version of this program made the same rows. fresh: stage → how often `--fresh` named it. shards: folder, or empty.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    root_version: int = 1
    format_version: str
    recipe: dict[str, Any]
    fingerprints: dict[str, str]
    adopted: dict[str, str] = {}
    fresh: dict[str, int] = {}
    versions: dict[str, str] = {}
    shards: str = ""

    def folder_names(self, fingerprints: Mapping[str, str]) -> dict[str, str]:
        """Stage → where its rows lie, for fingerprints of today's rule."""
        return {stage: self.adopted.get(print_, print_) for stage, print_ in fingerprints.items()}


def encode(lock: Lock, leave_out: frozenset[str] = frozenset()) -> bytes:
    data = lock.model_dump(mode="json", exclude=set(leave_out))
    return (json.dumps(data, sort_keys=True, indent=1, ensure_ascii=False) + "\n").encode()


def decode(data: bytes, where: str) -> Lock:
    """The lock in `data`. Raises UserError where it is damaged or of a newer version; where: its name in messages."""
    try:
        found = Lock.model_validate(json.loads(data))
    except (ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise UserError(
            f"{where} is damaged: {first}",
            "remove it and build again with the same recipe and --set: finished rows are found by their fingerprints",
        ) from error
    if found.root_version > ROOT_VERSION:
        raise UserError(
            f"{where} is of root version {found.root_version}; this program knows versions up to {ROOT_VERSION}",
            "upgrade interlink: pip install --upgrade interlink",
        )
    return found
