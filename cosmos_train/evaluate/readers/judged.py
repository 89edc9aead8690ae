"""Questions whose answers a judge scores: LLaVA-Bench (in the wild and COCO) and MM-Vet, as published."""

from __future__ import annotations

from cosmos_train.evaluate.readers.folder import DataFolder, Example, Media, read_json, read_rows


def llava_bench(data: DataFolder, split: str) -> list[Example]:
    """questions.jsonl, context.jsonl, answers_gpt4.jsonl (or COCO's qa90_…, caps_boxes_…): the reference's answers."""
    questions = read_rows(data.annotation("questions.jsonl", "*questions*.jsonl"))
    contexts = read_rows(data.annotation("context.jsonl", "caps_boxes*.jsonl"))
    answers = read_rows(data.annotation("answers_gpt4.jsonl", "*answer*gpt4*.jsonl", "*gpt4*answer*.jsonl"))
    told = {str(row["image"]): row.get("caption", row.get("captions", "")) for row in contexts}
    reference = {str(row["question_id"]): row["text"] for row in answers}
    found = []
    for row in questions:
        context = told[str(row["image"])]
        found.append(
            Example(
                str(row["question_id"]),
                Media(str(row["image"])),
                references=(reference[str(row["question_id"])],),
                question=row["text"].strip(),
                text="\n".join(context) if isinstance(context, list) else context,
                group=str(row.get("category", "")),
            )
        )
    return found


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
