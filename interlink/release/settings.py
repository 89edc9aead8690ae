"""The settings of a release. They are all that shapes its bytes, in addition to the build; the card lists them."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from interlink.errors import UserError
from interlink.settings import Settings

TextKind = Literal["narration", "caption", "speech", "ocr"]


class ReleaseSettings(Settings):
    """The settings of `interlink release --set key=value`."""

    name: str = Field(
        "",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9_.-]{0,79})?$",
        description="the dataset's name, also in file names; empty = the recipe's name",
    )
    description: str = Field("", description="a sentence about the dataset; empty = a generated one")
    url: str = Field("", description="URL of the dataset, for the card and the Croissant file")
    licence: str = Field(
        "", description="licence of the release (an SPDX id or a URL); empty = the licence of each document"
    )
    creator: str = Field("", description="the organisation or group that made the dataset")
    citation: str = Field("", description="how to cite the dataset, for example BibTeX")
    published: str = Field(
        "", pattern=r"^(\d{4}-\d{2}-\d{2})?$", description="date of publication, YYYY-MM-DD; empty = none"
    )
    version: str = Field("1.0.0", pattern=r"^\d+\.\d+\.\d+$", description="version of the release")
    seed: int = Field(0, description="decides the split and the sampled clips")
    val_share: float = Field(0.1, ge=0, le=1, description="share of the videos in the split `val`")
    texts: tuple[TextKind, ...] = Field(
        ("narration", "caption", "speech"),
        min_length=1,
        description="the text of a clip in formats with one text per clip: the first of these that is not empty",
    )
    sampled_share: float = Field(
        0.69, gt=0, le=1, description="share of a document's clips in the TSV of sampled clips (at least two)"
    )
    images_per_clip: int = Field(0, ge=0, description="most image-caption pairs of a clip, evenly spaced (0 = all)")
    conversation: Literal["", "document", "clip"] = Field(
        "", description="deprecated: the form of `llava`; choose the format `llava` (clip) or `llava-document`"
    )
    file_megabytes: int = Field(512, ge=1, description="approximate size of a Parquet file or tar")
    sample_documents: int = Field(3, ge=0, description="documents shown in the card")
    options: dict[str, dict[str, Any]] = Field({}, description="format -> its options: --set FORMAT.key=value")

    def json_dict(self) -> dict[str, Any]:
        """All settings as plain data; `options` and `conversation` only if not empty."""
        unset = {name for name in ("options", "conversation") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=unset)

    @staticmethod
    def load(sets: Sequence[str] = ()) -> ReleaseSettings:
        """The defaults, changed by `key=value` assignments (values in YAML). Raises UserError with the key."""
        given: dict[str, Any] = {}
        for assignment in sets:
            key, equals, value = assignment.partition("=")
            key = key.strip()
            if not equals:
                raise UserError(f"--set {assignment!r} is not an assignment", "write --set key=value", 2)
            format_, dot, option = key.partition(".")
            if dot:  # `formats.format_classes` checks the formats and their options
                given.setdefault("options", {}).setdefault(format_, {})[option] = _parsed(key, value)
                continue
            names = [name for name in ReleaseSettings.model_fields if name != "options"]
            if key not in names:
                near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"keys: {', '.join(names)}"
                raise UserError(f"a release has no setting {key!r}", hint, 2)
            given[key] = value if ReleaseSettings.model_fields[key].annotation is str else _parsed(key, value)
        try:
            return ReleaseSettings.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            what = f"--set {where}: {first['msg']} (got {first['input']!r})"
            raise UserError(what, "see docs/how-to/release.md", 2) from error


def _parsed(key: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--set {key}: {value!r} is not YAML", "quote the value", 2) from error
