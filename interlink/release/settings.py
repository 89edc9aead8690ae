"""What a person may choose about a release. Every choice that shapes its bytes is here, and told in its card."""

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
        description="the dataset's name, also in file names; empty takes the recipe's",
    )
    description: str = Field("", description="what the dataset is, in a sentence; empty takes a general one")
    url: str = Field("", description="where the dataset can be found; goes into the card and the Croissant file")
    licence: str = Field(
        "", description="licence of the whole (an SPDX id or a URL); empty: each document tells its own"
    )
    creator: str = Field("", description="the organisation or group that made the dataset")
    citation: str = Field("", description="how to cite it, BibTeX for instance")
    published: str = Field(
        "", pattern=r"^(\d{4}-\d{2}-\d{2})?$", description="date of publication, YYYY-MM-DD; empty: the files name none"
    )
    version: str = Field("1.0.0", pattern=r"^\d+\.\d+\.\d+$", description="version of the release")
    seed: int = Field(0, description="decides the split and the sampled clips")
    val_share: float = Field(0.1, ge=0, le=1, description="share of the videos that go into the split `val`")
    texts: tuple[TextKind, ...] = Field(
        ("narration", "caption", "speech"),
        min_length=1,
        description="a clip's text in formats with one text a clip: the first of these that is not empty",
    )
    sampled_share: float = Field(
        0.69, gt=0, le=1, description="share of a document's clips in the TSV of sampled clips (at least two)"
    )
    images_per_clip: int = Field(
        0, ge=0, description="most images of a clip that become image-caption pairs, evenly spaced (0 = all)"
    )
    conversation: Literal["document", "clip"] = Field(
        "document",
        description="what is a conversation in `llava`: a document with all its pictures, as LLaVA-NeXT and later take "
        "them, or a clip with one picture, as LLaVA 1.5 and CuMo do",
    )
    file_megabytes: int = Field(512, ge=1, description="a Parquet file or tar is closed when it holds about this much")
    sample_documents: int = Field(3, ge=0, description="documents shown in the card")
    options: dict[str, dict[str, Any]] = Field({}, description="format -> its own options: --set FORMAT.key=value")

    def json_dict(self) -> dict[str, Any]:
        """Every choice as plain data; options only where there are some."""
        return self.model_dump(mode="json", exclude=None if self.options else {"options"})

    @staticmethod
    def load(sets: Sequence[str] = ()) -> ReleaseSettings:
        """The defaults with `key=value` assignments over them (values in YAML). Raises UserError naming the key."""
        given: dict[str, Any] = {}
        for assignment in sets:
            key, equals, value = assignment.partition("=")
            key = key.strip()
            if not equals:
                raise UserError(f"--set {assignment!r} is no assignment", "write --set key=value", 2)
            format_, dot, option = key.partition(".")
            if dot:  # which formats there are, and what they may be given: `formats.format_classes`
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
            raise UserError(
                f"--set {where}: {first['msg']} (it says {first['input']!r})", "see docs/release.md", 2
            ) from (error)


def _parsed(key: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UserError(f"--set {key}: {value!r} is not YAML", "quote the value", 2) from error
