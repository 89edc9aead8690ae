"""Questions for a conversation model: GQA, ScienceQA (with pictures), MMMU, MathVista, MMVP, as published."""

from __future__ import annotations

import ast
import re
from pathlib import Path, PurePosixPath
from typing import Any

from cosmos_train.evaluate.choices import LETTERS
from cosmos_train.evaluate.readers.folder import DataFolder, Example, Media, read_json, read_parquet, read_rows

_PICTURE = re.compile(r"<image \d+>")
_OPTION = re.compile(r"\([a-z]\)")
_EXACT = {"integer": "integer", "list": "list"}


def gqa(data: DataFolder, split: str) -> list[Example]:
    """<split>_balanced_questions.json (testdev, val): question, imageId, answer; <imageId>.jpg."""
    rows = read_json(data.annotation(f"{split}_balanced_questions.json"))
    return [
        Example(key, Media(f"{row['imageId']}.jpg"), question=row["question"].strip(), answers=((row["answer"],),))
        for key, row in rows.items()
    ]


def scienceqa(data: DataFolder, split: str) -> list[Example]:
    """problems.json and pid_splits.json; <split>/<number>/image.png. Questions without a picture are skipped.

    The hint comes before the question, as in LLaVA's `llava_test_CQM-A.json`.
    """
    problems = read_json(data.annotation("problems.json"))
    pictures = {
        (path.parts[-3], path.parts[-2]): str(path) for path in map(PurePosixPath, data.pictures) if len(path.parts) > 2
    }
    found = []
    for key in read_json(data.annotation("pid_splits.json"))[split]:
        row = problems[key]
        if not row.get("image"):
            continue
        hint = f"Context: {row['hint'].strip()}\n" if row.get("hint", "").strip() else ""
        found.append(
            Example(
                key,
                Media(pictures.get((split, key), f"{split}/{key}/{row['image']}")),
                question=f"{hint}{row['question'].strip()}",
                choices=tuple(row["choices"]),
                label=LETTERS[int(row["answer"])],
                group=str(row.get("subject", "")),
            )
        )
    return found


def mmmu(data: DataFolder, split: str) -> list[Example]:
    """<subject>/<split>-*.parquet with pictures; a question with several pictures is asked with the first."""
    found = []
    for path in _parquet(data, split):
        name = path.relative_to(data.root).as_posix()
        for place, row in enumerate(read_parquet(path, ("id", "question", "options", "answer", "question_type"))):
            question = _PICTURE.sub("", row["question"]).strip()
            media = Media(name, row=place, column="image_1")
            subject = row["id"].partition("_")[2].rpartition("_")[0]
            if row["question_type"] == "multiple-choice":
                choices = tuple(_PICTURE.sub("the picture", str(one)).strip() for one in _listed(row["options"]))
                found.append(
                    Example(row["id"], media, question=question, choices=choices, label=row["answer"], group=subject)
                )
            else:
                answers = _listed(row["answer"]) if str(row["answer"]).startswith("[") else [row["answer"]]
                several = tuple((str(one),) for one in answers)
                found.append(Example(row["id"], media, question=question, answers=several, group=subject))
    return found


def mmvp(data: DataFolder, split: str) -> list[Example]:
    """Questions.csv (number, question, options `(a) … (b) …`, answer `(a)`) in pairs, "MMVP Images/<number>.jpg"."""
    found = []
    for place, row in enumerate(read_rows(data.annotation("Questions.csv"))):
        number, question, options, answer, *_ = (str(one).strip() for one in row.values())
        choices = tuple(one.strip() for one in _OPTION.split(options)[1:])
        label = answer.strip("() ").upper()
        if label not in LETTERS[: len(choices)] or not label:
            raise ValueError(f"question {number}: the answer {answer} is none of its options {options}")
        media = Media(f"MMVP Images/{number}.jpg")
        found.append(
            Example(number, media, question=question, choices=choices, label=label, group=f"pair {place // 2}")
        )
    return found


def mathvista(data: DataFolder, split: str) -> list[Example]:
    """<split>.json (testmini) with its pictures, or the hub's <split>-*.parquet, which holds them.

    Uses its own `query`, if it exists, which states the format of the answer.
    """
    found = []
    if data.has(f"{split}.json"):
        rows = read_json(data.annotation(f"{split}.json"))
        found = [_mathvista(key, row, Media(row["image"])) for key, row in rows.items()]
    else:
        for path in _parquet(data, split):
            name = path.relative_to(data.root).as_posix()
            fields = ("pid", "query", "question", "choices", "answer", "question_type", "answer_type", "precision")
            found += [
                _mathvista(row["pid"], row, Media(name, row=place, column="decoded_image"))
                for place, row in enumerate(read_parquet(path, fields))
            ]
    return found


def _mathvista(key: str, row: dict[str, Any], media: Media) -> Example:
    question = str(row.get("query") or row["question"]).strip()
    if row["question_type"] == "multi_choice":
        choices = tuple(map(str, row["choices"]))
        label = LETTERS[choices.index(str(row["answer"]))]
        return Example(key, media, question=question, choices=choices, label=label, group="choice")
    exact = _EXACT.get(row["answer_type"], "")
    if row["answer_type"] == "float":
        exact = str(int(row.get("precision") or 2))
    return Example(key, media, question=question, answers=((str(row["answer"]),),), exact=exact, group="free")


def _parquet(data: DataFolder, split: str) -> list[Path]:
    """The hub's files of a split. Raises UserError if there are none."""
    data.annotation(f"{split}-*.parquet")
    return data.annotations(f"{split}-*.parquet")


def _listed(value: Any) -> list[Any]:
    try:
        found = ast.literal_eval(value) if isinstance(value, str) else value
    except (SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise ValueError(f"{value!r} is no list")
    return found
