"""VQA sets of a model that talks: each layout as published."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cosmos_train.errors import UserError
from cosmos_train.evaluate.media import look
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers import judged, questions
from cosmos_train.evaluate.readers.folder import DataFolder, Media, read
from cosmos_train.evaluate.talk import worded
from cosmos_train.evaluate.tasks import TASKS
from cosmos_train.stream.decode import decode_exactly
from judged import paint


def put(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in content))  # type: ignore[attr-defined]
    else:
        path.write_text(json.dumps(content))


def png(colour: tuple[int, int, int]) -> dict[str, object]:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), colour).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": "x.png"}


def test_gqa(tmp_path: Path) -> None:
    put(
        tmp_path / "testdev_balanced_questions.json",
        {"20": {"question": "Is it overcast? ", "imageId": "n16", "answer": "no", "isBalanced": True}},
    )
    (found,) = questions.gqa(DataFolder(tmp_path), "testdev")
    assert (found.id, found.media.name, found.question, found.answers) == (
        "20",
        "n16.jpg",
        "Is it overcast?",
        (("no",),),
    )


def test_scienceqa_asks_what_has_a_picture(tmp_path: Path) -> None:
    def row(image: str | None, hint: str) -> dict[str, object]:
        return {"question": "Which?", "choices": ["x", "y"], "answer": 1, "hint": hint, "image": image,
                "subject": "natural science"}  # fmt: skip

    put(tmp_path / "problems.json", {"4": row("image.png", ""), "5": row(None, ""), "6": row("image.png", "A map.")})
    put(tmp_path / "pid_splits.json", {"test": ["4", "5", "6"], "train": []})
    for key in ("4", "6"):
        paint(tmp_path / "images" / "test" / key / "image.png")
        paint(tmp_path / "images" / "train" / key / "image.png")
    found = questions.scienceqa(DataFolder(tmp_path), "test")
    assert [(one.id, one.media.name) for one in found] == [
        ("4", "images/test/4/image.png"), ("6", "images/test/6/image.png"),
    ]  # fmt: skip
    assert found[1].question == "Context: A map.\nWhich?"  # LLaVA's llava_test_CQM-A.json: context, question, choices
    assert worded(found[1], TASKS["scienceqa"], Protocol()) == (
        "Context: A map.\nWhich?\nA. x\nB. y\nAnswer with the option's letter from the given choices directly."
    )
    assert (found[0].choices, found[0].label, found[0].group) == (("x", "y"), "B", "natural science")


def test_mmmu_from_the_hubs_files(tmp_path: Path) -> None:
    rows = [
        {"id": "validation_Art_Theory_1", "question": "<image 1> Who made it?", "options": "['Ann', '<image 2>']",
         "answer": "A", "question_type": "multiple-choice", "image_1": png((255, 0, 0))},
        {"id": "validation_Art_Theory_2", "question": "How many <image 1>?", "options": "[]",
         "answer": "['3', 'three']", "question_type": "open", "image_1": png((0, 255, 0))},
    ]  # fmt: skip
    (tmp_path / "Art_Theory").mkdir()
    path = tmp_path / "Art_Theory/validation-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=1)
    data = DataFolder(tmp_path)
    one, other = questions.mmmu(data, "validation")
    assert (one.question, one.choices, one.label, one.group) == (
        "Who made it?",
        ("Ann", "the picture"),
        "A",
        "Art_Theory",
    )
    assert (other.question, other.answers) == ("How many ?", (("3",), ("three",)))
    where = data.media(other.media.name)
    assert where == path
    (shown,), _ = look(where, other.media, 1, decode_exactly)
    assert shown[0, 0].tolist() == [0, 255, 0]


def test_llava_bench_of_coco_gives_captions_and_boxes(tmp_path: Path) -> None:
    question = {"question_id": 0, "image": "000000441147.jpg", "text": "What colours?", "category": "conv"}
    described = {"id": "441147", "image": "000000441147.jpg", "captions": ["Two suitcases.", "Old bags."],
            "instances": [{"category": "suitcase", "bbox": [0.1, 0.2, 0.5, 0.75]}]}  # fmt: skip
    put(tmp_path / "qa90_questions.jsonl", [question])
    put(tmp_path / "caps_boxes_coco2014_val_80.jsonl", [described])
    put(tmp_path / "qa90_gpt4_answer.jsonl", [{"question_id": 0, "text": "Brown.", "answer_id": "x"}])
    (found,) = judged.llava_bench(DataFolder(tmp_path), "test")
    assert found.text == "Two suitcases.\nOld bags.\n\nsuitcase: [0.1, 0.2, 0.5, 0.75]"
    assert found.media.name == "000000441147.jpg"
    paint(tmp_path / "val2014" / "COCO_val2014_000000441147.jpg")
    data = DataFolder(tmp_path)
    (found,) = judged.llava_bench(data, "test")
    assert data.media(found.media.name) is not None


def test_mmvp_in_pairs(tmp_path: Path) -> None:
    (tmp_path / "Questions.csv").write_text(
        "lndex,Question,Options,Correct Answer\n"
        "1,Is it open?,(a) Open (b) Closed,(b)\n2,Is it open?,(a) Open (b) Closed,(a)\n"
    )
    one, other = questions.mmvp(DataFolder(tmp_path), "test")
    assert (one.media.name, one.choices, one.label) == ("MMVP Images/1.jpg", ("Open", "Closed"), "B")
    assert (one.group, other.group, other.label) == ("pair 0", "pair 0", "A")


def test_mathvista_as_a_list_or_from_the_hub(tmp_path: Path) -> None:
    base = {"question": "What is x?", "query": "Hint: say the letter.\nQuestion: What is x?", "precision": None}
    rows = {
        "1": base | {"image": "images/1.jpg", "choices": ["3", "4"], "answer": "4", "question_type": "multi_choice",
                     "answer_type": "text"},
        "2": base | {"image": "images/2.jpg", "choices": None, "answer": "1.2", "question_type": "free_form",
                     "answer_type": "float", "precision": 1.0},
        "3": base | {"image": "images/3.jpg", "choices": None, "answer": "5", "question_type": "free_form",
                     "answer_type": "integer"},
    }  # fmt: skip
    put(tmp_path / "list/testmini.json", rows)
    one, other, third = questions.mathvista(DataFolder(tmp_path / "list"), "testmini")
    assert (one.media, one.choices, one.label) == (Media("images/1.jpg"), ("3", "4"), "B")
    assert one.question.startswith("Hint: say the letter.")
    assert (other.answers, other.exact, third.exact) == ((("1.2",),), "1", "integer")
    (tmp_path / "hub/data").mkdir(parents=True)
    table = [row | {"pid": key, "decoded_image": png((9, 9, 9))} for key, row in rows.items()]
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "hub/data/testmini-0.parquet")
    found = questions.mathvista(DataFolder(tmp_path / "hub"), "testmini")
    assert found[2].media == Media("data/testmini-0.parquet", row=2, column="decoded_image")
    assert [(a.id, a.label, a.answers, a.exact) for a in found] == [
        (a.id, a.label, a.answers, a.exact) for a in (one, other, third)
    ]


def test_llava_bench_and_mm_vet(tmp_path: Path) -> None:
    folder = tmp_path / "llava"
    put(folder / "questions.jsonl", [{"question_id": 0, "image": "001.jpg", "text": "Name it?", "category": "conv"}])
    put(folder / "context.jsonl", [{"id": "001", "image": "001.jpg", "caption": ["A volcano.", "A lake."]}])
    put(folder / "answers_gpt4.jsonl", [{"question_id": 0, "text": "Diamond Head.", "answer_id": "x"}])
    (found,) = judged.llava_bench(DataFolder(folder), "test")
    assert (found.references, found.text, found.group) == (("Diamond Head.",), "A volcano.\nA lake.", "conv")
    row = {"imagename": "v1_0.png", "question": "What is x?", "answer": "-1<AND>-5", "capability": ["ocr", "math"]}
    put(tmp_path / "vet/mm-vet.json", {"v1_0": row})
    (found,) = judged.mm_vet(DataFolder(tmp_path / "vet"), "test")
    assert (found.id, found.media.name, found.references, found.group) == (
        "v1_0", "v1_0.png", ("-1<AND>-5",), "ocr,math",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["gqa", "scienceqa", "mmmu", "mathvista", "mmvp", "llava-bench", "mm-vet"])
def test_what_is_missing_or_laid_out_otherwise_is_said(tmp_path: Path, name: str) -> None:
    task = TASKS[name]
    with pytest.raises(UserError, match=str(tmp_path)) as error:
        read(task.reader, DataFolder(tmp_path), task.split, name)
    assert error.value.do
    files = {"gqa": "testdev_balanced_questions.json", "scienceqa": "problems.json", "mathvista": "testmini.json",
             "mm-vet": "mm-vet.json"}  # fmt: skip
    if name in files:
        put(tmp_path / files[name], {"1": {"other": 1}})
        put(tmp_path / "pid_splits.json", {"test": ["1"]})
        with pytest.raises(UserError, match=f"not laid out as those of {name}|hold no example of {name}"):
            read(task.reader, DataFolder(tmp_path), task.split, name)
