"""interleave: turns clips into documents in which frames and text alternate. Reads no pixels; costs 0.1 ms per clip.

The settings decide which clips stay, how a long video is cut into documents, and the order of frames and texts. Scores
are read from their table, so that another threshold recomputes no score.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, ClassVar

from interlink.errors import Dropped
from interlink.interleave.budgets import cut, fitted, sampled
from interlink.interleave.compose import compose
from interlink.interleave.evidence import ClipEvidence, gather
from interlink.interleave.filters import LeftOut, judge, without_duplicates, without_excluded
from interlink.interleave.policy import policy_class
from interlink.interleave.settings import InterleaveSettings
from interlink.settings import Settings
from interlink.shards.document import Provenance, Source
from interlink.shards.names import document_keys
from interlink.stage import Context, Item, PerItem, Resources, Row, failed
from interlink.text.personal import scrub

# The columns read of large tables, which also hold references to images.
_READ = {
    "download": ("title", "url", "info"),
    "transcribe": (
        "language",
        *(f"sentences.{field}" for field in ("text", "start", "end")),
        *(f"sentences.words.{field}" for field in ("text", "start", "end")),
    ),
    "keyframes": (
        "start",
        *(f"clips.{field}" for field in ("start", "end", "motion", "talking", "print", "sharpness", "light")),
        *(f"clips.frames.{field}" for field in ("time", "width", "height")),
    ),
}
WHOLE_SECOND = 0.5  # seconds of start from which a document says where its video starts
_ALONE = {"no_frames": "has a frame", "no_text": "has text"}
_WITH_MODELS = ("caption", "narrate", "ocr", "regions", "score")  # tables with models, for a document's provenance


class Interleave(PerItem):
    """Makes the documents of one video. The schema is tables.INTERLEAVE."""

    name: ClassVar[str] = "interleave"
    version: ClassVar[int] = 3
    settings_class: ClassVar[type[Settings]] = InterleaveSettings
    leaves_out: ClassVar[bool] = True

    def __init__(self, settings: InterleaveSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._policy = policy_class(settings.policy)(settings)

    @staticmethod
    def needs(settings: InterleaveSettings) -> tuple[str, ...]:
        wanted = ["download", "transcribe", "keyframes", "caption"]
        wanted += ["align"] if settings.lead == "correct" else []
        wanted += ["ocr"] if settings.include_ocr else []
        return tuple(dict.fromkeys([*wanted, *settings.filter.needs, *policy_class(settings.policy).needs]))

    @staticmethod
    def relies_on(settings: InterleaveSettings) -> dict[str, tuple[str, str]]:
        return {"filter.talking": ("keyframes", "clips.talking")} if settings.filter.talking is not None else {}

    @staticmethod
    def uses(settings: InterleaveSettings) -> tuple[str, ...]:
        """Tables it reads if the recipe has them."""
        return ("narrate", "regions", "score", "select")

    @staticmethod
    def resources(settings: InterleaveSettings) -> Resources:
        return Resources(cpus=0.5)

    @staticmethod
    def amounts(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
        """Documents and what they hold; clips and frames that are in no document, by reason, also of dropped videos."""
        documents = [document for row in rows if row["status"] == "ok" for document in row["documents"]]
        left_out = Counter(f"{one['what']}s {one['reason']}" for row in rows for one in row.get("left_out") or ())
        return {
            "documents": len(documents),
            "clips": sum(document["clips"] for document in documents),
            "frames": sum(len(document["images"]) for document in documents),
            "text_tokens": sum(document["text_tokens"] for document in documents),
            **dict(sorted(left_out.items())),
        }

    def columns(self) -> dict[str, tuple[str, ...]]:
        return _READ

    def process(self, item: Item) -> Row:
        """The row: dropped if no clip is left (no_clips, few_clips, or the most frequent reason of the clips).

        What each clip was judged by, but for excluded ones, is in the row whatever becomes of the video: other
        thresholds can then be tried without gathering the texts again.
        """
        gathered = gather(item.rows, self.settings, self._policy.roles, "score" in self._policy.needs)
        if not gathered:
            raise Dropped("no_clips", "the video has no clips")
        clips, excluded = without_excluded(gathered, self.context.excluded_clips.get(item.id, ()))
        try:
            row = self._documents(item, clips, excluded)
        except Dropped as error:
            row = failed(item.id, error)
        row.fields["judged"] = [
            {"clip": clip.number, "roles": list(clip.roles), "tokens": clip.tokens()} for clip in clips
        ]
        return row

    def _documents(self, item: Item, gathered: list[ClipEvidence], excluded: list[LeftOut]) -> Row:
        """The row of a video that has clips. Raises Dropped."""
        clips, left = self._kept(item.rows, gathered)
        left = excluded + left
        if not clips:
            return _dropped(item.id, left)
        begin, end = sampled(clips, self.settings.adjacent_clips, self.context.seed, item.id)
        left += [LeftOut("clip", clip.number, "not_sampled") for clip in (*clips[:begin], *clips[end:])]
        clips = clips[begin:end]
        if len(clips) < self.settings.min_clips:
            raise Dropped("few_clips", f"{len(clips)} clips are left, min_clips is {self.settings.min_clips}")
        fitting = [fitted(clip, self.settings) for clip in clips]
        left += [one for _, lost in fitting for one in lost]
        chunks = cut([clip for clip, _ in fitting], self.settings)
        source, provenance = _source(item.id, item.rows, self.settings.scrub), self._provenance(item.rows)
        documents = []
        for key, chunk in zip(document_keys(item.id, len(chunks)), chunks, strict=True):
            pieces = self._policy.arrange(chunk, f"{self.context.seed}:{key}")
            document, unplaced = compose(key, chunk, pieces, source, provenance)
            documents.append(document)
            left += unplaced
        return Row(item.id, {"documents": documents, "left_out": [one.row() for one in left]})

    def _kept(
        self, rows: Mapping[str, Mapping[str, Any]], clips: list[ClipEvidence]
    ) -> tuple[list[ClipEvidence], list[LeftOut]]:
        """The clips that stay, and what is left out."""
        settings = self.settings
        language = settings.filter.language
        if language and rows["score"]["language"] != language:
            raise Dropped("language", f"its language is {rows['score']['language'] or 'no known language'}")
        left: list[LeftOut] = []
        if settings.filter.duplicate_frames is not None:
            clips, left = without_duplicates(clips, rows["score"], settings.filter.duplicate_frames)
        kept = []
        for clip in clips:
            verdict = judge(clip, settings)
            if verdict is None:
                kept.append(clip)
            else:
                left.append(verdict)
        return kept, left

    def _provenance(self, rows: Mapping[str, Mapping[str, Any]]) -> Provenance:
        answered = {table: rows[table] for table in _WITH_MODELS if table in rows}
        checkers = answered["score"].get("checkers") or () if "score" in answered else ()
        answered |= {f"score.{checker['engine']}": checker for checker in checkers}
        models, prompts = {}, {}
        for name, who in answered.items():
            if model := who["model"] or who["engine"]:
                models[name] = f"{model}@{who['revision']}" if who["revision"] else model
            if prompt := who.get("prompt_hash"):
                prompts[name] = prompt
        return Provenance(
            recipe=self.context.recipe,
            fingerprint=self.context.fingerprints[self.name],
            models=models,
            prompts=prompts,
        )


def _dropped(item_id: str, left: list[LeftOut]) -> Row:
    """The row of a video without clips left. Its reason is the most frequent of its clips, with ties the first one."""
    counts = Counter(one.reason for one in left if one.what == "clip")
    summary = ", ".join(f"{reason} {count}" for reason, count in sorted(counts.items()))
    message = _ALONE.get(summary.split(" ")[0], "") if len(counts) == 1 else ""
    reasons = [reason for reason in counts if reason != "no_frames"] or ["no_frames"]
    return Row(
        item_id,
        {"documents": [], "left_out": [one.row() for one in left]},
        status="dropped",
        reason=max(reasons, key=lambda reason: counts[reason]),
        message=f"none of {counts.total()} clips {message or f'is left: {summary}'}",
    )


def _source(item_id: str, rows: Mapping[str, Mapping[str, Any]], scrubbed: bool) -> Source:
    """The source of a document. The source list takes precedence over the site."""
    listed, fetched = rows["collect"], rows["download"]
    info = json.loads(fetched["info"] or "{}")
    path = PurePosixPath(listed["path"] or "")
    start: float = rows["keyframes"].get("start") or 0.0
    title = listed["title"] or fetched["title"] or ""
    return Source(
        video_id=listed["video_id"] or item_id,
        url=fetched["url"] or "",
        path=path.name if path.is_absolute() else (listed["path"] or ""),
        title=scrub(title, rows["transcribe"].get("language") or "")[0] if scrubbed else title,
        category=listed["category"] or "",
        licence=listed["licence"] or info.get("licence") or info.get("license") or "",
        dataset=listed["dataset"] or "",
        start=start if abs(start) >= WHOLE_SECOND else None,
    )
