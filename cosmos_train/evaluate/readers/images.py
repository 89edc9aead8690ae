"""COCO, Flickr30k, VQAv2, OK-VQA, TextVQA, VizWiz, Hateful Memes: their published layouts as examples."""

from __future__ import annotations

import re
from typing import Any

from cosmos_train.errors import UserError
from cosmos_train.evaluate.readers.folder import DataFolder, Example, Media, read_json, read_lines, read_rows

MEME_LABELS = ("no", "yes")  # whether it is hateful; the annotation's 0 and 1


def coco(data: DataFolder, split: str) -> list[Example]:
    """Karpathy's dataset_coco.json if it exists (restval counts as train), else his split as
    coco_karpathy_<split>.json, else captions_<split>2014/2017.json. Split val2017 is captions_val2017.json itself.
    """
    if re.search(r"\d{4}$", split):
        return _captions(read_json(data.annotation(f"captions_{split}.json")))
    if data.has("dataset_coco.json"):
        return _karpathy(data, "dataset_coco.json", split)
    if data.has(f"coco_karpathy_{split}.json"):
        return _listed(data, f"coco_karpathy_{split}.json")
    return _captions(read_json(data.annotation(f"captions_{split}2014.json", f"captions_{split}2017.json")))


def _captions(annotated: Any) -> list[Example]:
    """COCO's own file: images and annotations."""
    captions: dict[int, list[str]] = {}
    for one in annotated["annotations"]:
        captions.setdefault(one["image_id"], []).append(one["caption"].strip())
    return [
        Example(str(image["id"]), Media(image["file_name"]), tuple(captions[image["id"]]))
        for image in annotated["images"]
        if image["id"] in captions
    ]


def flickr30k(data: DataFolder, split: str) -> list[Example]:
    """Karpathy's dataset_flickr30k.json, or his split as flickr30k_<split>.json, else results_*.token with <split>.txt
    naming the images of each split.
    """
    if data.has("dataset_flickr30k.json"):
        return _karpathy(data, "dataset_flickr30k.json", split)
    if data.has(f"flickr30k_{split}.json"):
        return _listed(data, f"flickr30k_{split}.json")
    captions: dict[str, list[str]] = {}
    for line in read_lines(data.annotation("results_*.token", "results.token", "*.token")):
        name, _, caption = line.partition("\t")
        captions.setdefault(name.rpartition("#")[0], []).append(caption.strip())
    wanted = {name.removesuffix(".jpg") for name in read_lines(data.annotation(f"{split}.txt"))}
    return [
        Example(name.removesuffix(".jpg"), Media(name), tuple(said))
        for name, said in captions.items()
        if name.removesuffix(".jpg") in wanted
    ]


def vqav2(data: DataFolder, split: str) -> list[Example]:
    """v2_OpenEnded_mscoco_<split>2014_questions.json and v2_mscoco_<split>2014_annotations.json."""
    return _vqa(data, "v2_", split)


def okvqa(data: DataFolder, split: str) -> list[Example]:
    """OpenEnded_mscoco_<split>2014_questions.json and mscoco_<split>2014_annotations.json.

    Its answers are stemmed (`answer`), which a model cannot know, so the original answers (`raw_answer`) count as well.
    """
    return _vqa(data, "", split)


def textvqa(data: DataFolder, split: str) -> list[Example]:
    """TextVQA_<version>_<split>.json."""
    rows = read_json(data.annotation(f"TextVQA_*_{split}.json"))["data"]
    return [
        Example(
            str(row["question_id"]),
            Media(f"{row['image_id']}.jpg"),
            question=row["question"].strip(),
            answers=_single(row["answers"]),
        )
        for row in rows
        if row.get("answers")
    ]


def textvqa_ocr(data: DataFolder, split: str) -> list[Example]:
    """TextVQA as LLaVA asks it: llava_textvqa_<split>_v051_ocr.jsonl (from its eval.zip) has the questions with the OCR
    words of the picture and the format of the answer; TextVQA_<version>_<split>.json has the answers.
    """
    answered = {
        (row["image_id"], row["question"].strip().lower()): row
        for row in read_json(data.annotation(f"TextVQA_*_{split}.json"))["data"]
    }
    found = []
    for asked in read_rows(data.annotation(f"llava_textvqa_{split}_v*_ocr.jsonl")):
        # Three lines: the question, `Reference OCR token: ...`, the format. The second may come first or be absent.
        first, *others = asked["text"].split("\n")
        question = others[0] if first.startswith("Reference OCR token:") else first
        row = answered[asked["question_id"], question.strip().lower()]
        found.append(
            Example(
                str(row["question_id"]),
                Media(str(asked["image"])),
                question=asked["text"].strip(),
                answers=_single(row["answers"]),
            )
        )
    return found


def vizwiz(data: DataFolder, split: str) -> list[Example]:
    """Annotations/<split>.json: questions of blind people, some without an answer (then `unanswerable` is right)."""
    rows = read_json(data.annotation(f"Annotations/{split}.json", f"{split}.json"))
    return [
        Example(
            row["image"].rpartition(".")[0],
            Media(row["image"]),
            question=row["question"].strip(),
            answers=_single(one["answer"] for one in row["answers"]),
        )
        for row in rows
        if row.get("answers")
    ]


def hateful_memes(data: DataFolder, split: str) -> list[Example]:
    """<split>.jsonl with img, text and label; split val is dev_seen.jsonl or dev.jsonl, test is test_seen.jsonl."""
    names = {"val": ("dev_seen.jsonl", "dev.jsonl"), "test": ("test_seen.jsonl", "test.jsonl")}
    rows = read_rows(data.annotation(*names.get(split, (f"{split}.jsonl",))))
    if rows and all("label" not in row for row in rows):
        raise UserError(f"the split {split!r} of Hateful Memes has no labels", "give another split")
    return [
        Example(
            str(row["id"]), Media(row["img"]), text=" ".join(row["text"].split()), label=MEME_LABELS[int(row["label"])]
        )
        for row in rows
    ]


def _karpathy(data: DataFolder, name: str, split: str) -> list[Example]:
    wanted = ("train", "restval") if split == "train" else (split,)
    return [
        Example(
            str(image.get("cocoid", image["imgid"])),
            Media("/".join(part for part in (image.get("filepath", ""), image["filename"]) if part)),
            tuple(sentence["raw"].strip() for sentence in image["sentences"]),
        )
        for image in read_json(data.annotation(name))["images"]
        if image["split"] in wanted
    ]


def _listed(data: DataFolder, name: str) -> list[Example]:
    """A list of {image, caption}, as ALBEF and BLIP publish Karpathy's splits and COSMOS reads them. A caption alone
    (of a training split) is one of its image's."""
    captions: dict[str, list[str]] = {}
    for row in read_json(data.annotation(name)):
        several = row["caption"] if isinstance(row["caption"], list) else [row["caption"]]
        captions.setdefault(row["image"], []).extend(one.strip() for one in several)
    return [Example(image.rpartition(".")[0], Media(image), tuple(said)) for image, said in captions.items()]


def _vqa(data: DataFolder, prefix: str, split: str) -> list[Example]:
    asked = read_json(data.annotation(f"{prefix}OpenEnded_mscoco_{split}2014_questions.json"))
    annotated = read_json(data.annotation(f"{prefix}mscoco_{split}2014_annotations.json"))
    answers = {one["question_id"]: one["answers"] for one in annotated["annotations"]}
    subset = asked.get("data_subtype", f"{split}2014")
    return [
        Example(
            str(one["question_id"]),
            Media(f"{subset}/COCO_{subset}_{one['image_id']:012d}.jpg"),
            question=one["question"].strip(),
            answers=tuple(_forms(answer) for answer in answers[one["question_id"]]),
        )
        for one in asked["questions"]
        if one["question_id"] in answers
    ]


def _forms(answer: dict[str, Any]) -> tuple[str, ...]:
    """The original answer, then its stem if that differs."""
    said, raw = str(answer["answer"]).strip(), str(answer.get("raw_answer", answer["answer"])).strip()
    return (raw,) if raw == said else (raw, said)


def _single(answers: Any) -> tuple[tuple[str, ...], ...]:
    return tuple((str(answer).strip(),) for answer in answers)
