"""Questions for answers that a judge scores: LLaVA-Bench (in the wild and COCO) and MM-Vet, as published."""

from __future__ import annotations

from typing import Any

from cosmos_train.evaluate.readers.folder import DataFolder, Example, Media, read_json, read_rows


def llava_bench(data: DataFolder, split: str) -> list[Example]:
    """questions.jsonl, context.jsonl, answers_gpt4.jsonl (or COCO's qa90_…, caps_boxes_…): the reference's answers.

    For COCO's pictures the judge gets five captions and the boxes of objects, for the others a description.
    """
    questions = read_rows(data.annotation("questions.jsonl", "*questions*.jsonl"))
    contexts = read_rows(data.annotation("context.jsonl", "caps_boxes*.jsonl"))
    answers = read_rows(data.annotation("answers_gpt4.jsonl", "*answer*gpt4*.jsonl", "*gpt4*answer*.jsonl"))
    described = {str(row["image"]): _described(row) for row in contexts}
    reference = {str(row["question_id"]): row["text"] for row in answers}
    found = []
    for row in questions:
        image = str(row["image"])
        if data.media(image) is None and data.media(f"COCO_val2014_{image}") is not None:
            image = f"COCO_val2014_{image}"  # COCO's file name; LLaVA gives only the number
        found.append(
            Example(
                str(row["question_id"]),
                Media(image),
                references=(reference[str(row["question_id"])],),
                question=row["text"].strip(),
                text=described[str(row["image"])],
                group=str(row.get("category", "")),
            )
        )
    return found


def _described(row: dict[str, Any]) -> str:
    said = row.get("caption", row.get("captions", ""))
    text = "\n".join(said) if isinstance(said, list) else str(said)
    boxes = [f"{one['category']}: {one['bbox']}" for one in row.get("instances", ())]
    return "\n".join((text, "", *boxes)) if boxes else text


def mm_vet(data: DataFolder, split: str) -> list[Example]:
    """mm-vet.json: imagename, question, answer, capability (several)."""
    return [
        Example(
            key,
            Media(row["imagename"]),
            references=(str(row["answer"]),),
            question=row["question"].strip(),
            group=",".join(row["capability"]),
        )
        for key, row in read_json(data.annotation("mm-vet.json")).items()
    ]
