"""Which annotations a build uses, and where they come from. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from interlink.settings import Settings


class AnnotationSource(Settings):
    """Existing texts with times."""

    path: str = Field(
        "",
        description="a TSV with `path` and `clips` (Howto-Interlink7M), or a JSON of objects by video id: start, end "
        "and text (HowTo100M), timestamps and sentences, or segments and sentences below `database` (YouCook2)",
    )
    columns: tuple[str, ...] = Field(
        (),
        description="instead of a file: columns of the source list with text about the whole item, or `title`; of "
        "web pages `text`: the text around their images",
    )
    clock: Literal["player", "container"] = Field(
        "player", description="times count from where a player begins, or are those of the file (our own releases)"
    )
    missing: Literal["drop", "keep"] = Field(
        "drop", description="an item without annotation is dropped (not_annotated), or kept without"
    )

    @model_validator(mode="after")
    def _one_place(self) -> AnnotationSource:
        if self.path and self.columns:
            raise ValueError("set either a file (path) or columns of the source list (columns), not both")
        return self

    @property
    def wanted(self) -> bool:
        return bool(self.path or self.columns)


class AnnotationsSettings(Settings):
    """The block `annotations` of a recipe."""

    clips: AnnotationSource = Field(
        AnnotationSource(),
        description="clips with texts, for keyframes.segmenter and caption.engine `annotations`",
    )
    speech: AnnotationSource = Field(
        AnnotationSource(), description="speech, which transcribe uses instead of subtitles"
    )
