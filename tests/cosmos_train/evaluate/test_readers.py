"""Every benchmark's annotation layout, on a file of a few rows in the form its authors publish."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cosmos_train.errors import UserError
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers import images, videos
from cosmos_train.evaluate.readers.folder import DataFolder, Media, read, read_lines, read_rows
from cosmos_train.evaluate.talk import worded
from cosmos_train.evaluate.tasks import TASKS, check_able, find
from cosmos_train.families.cosmo.family import CosMoFamily

Put = Callable[[str, Any], None]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Writes a file of the benchmark: text as it is, lists for .jsonl as lines, the rest as JSON."""

    def write(name: str, content: Any) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            path.write_text(content)
        elif name.endswith(".jsonl"):
            path.write_text("\n".join(json.dumps(row) for row in content) + "\n")
        else:
            path.write_text(json.dumps(content))

    return write


def karpathy(dataset: str) -> dict[str, Any]:
    def image(number: int, split: str) -> dict[str, Any]:
        found = {
            "filename": f"img{number}.jpg", "imgid": number, "sentids": [0, 1], "split": split,
            "sentences": [{"raw": f"A caption of {number}. ", "imgid": number, "sentid": k} for k in (0, 1)],
        }  # fmt: skip
        return found | ({"filepath": "val2014", "cocoid": 900 + number} if dataset == "coco" else {})

    return {
        "dataset": dataset,
        "images": [image(n, split) for n, split in enumerate(("train", "restval", "val", "test"))],
    }


def test_coco_by_karpathys_splits(tmp_path: Path, put: Put) -> None:
    put("annotations/dataset_coco.json", karpathy("coco"))
    data = DataFolder(tmp_path)
    (test,) = images.coco(data, "test")
    assert (test.id, test.media.name) == ("903", "val2014/img3.jpg")
    assert test.references == ("A caption of 3.",) * 2
    assert [one.id for one in images.coco(data, "train")] == ["900", "901"]


def test_coco_by_its_own_splits(tmp_path: Path, put: Put) -> None:
    put(
        "annotations/captions_val2014.json",
        {
            "images": [{"id": 42, "file_name": "COCO_val2014_000000000042.jpg"}, {"id": 43, "file_name": "b.jpg"}],
            "annotations": [
                {"image_id": 42, "id": 1, "caption": "A shoe. "},
                {"image_id": 42, "id": 2, "caption": "It"},
            ],
        },
    )
    (found,) = images.coco(DataFolder(tmp_path), "val")
    assert (found.id, found.media.name, found.references) == ("42", "COCO_val2014_000000000042.jpg", ("A shoe.", "It"))


def test_karpathys_splits_as_lists_and_coco_val2017_whole(tmp_path: Path, put: Put) -> None:
    """ALBEF's and BLIP's files, which COSMOS reads too; val2017 is what COSMOS retrieves from."""
    row = {"image": "val2014/COCO_val2014_000000391895.jpg", "caption": ["A man. ", "A biker."]}
    put("coco_karpathy_test.json", [row])
    put("flickr30k_val.json", [{"image": "flickr30k-images/1018148011.jpg", "caption": ["A group."] * 5}])
    alone = [{"image": "x.jpg", "image_id": "coco_1", "caption": text} for text in ("one", "two")]
    put("coco_karpathy_train.json", alone)
    images_ = [{"id": 139, "file_name": "000000000139.jpg"}]
    put("captions_val2017.json", {"images": images_, "annotations": [{"image_id": 139, "caption": "A room."}]})
    data = DataFolder(tmp_path)
    (found,) = images.coco(data, "test")
    assert (found.media.name, found.references) == (row["image"], ("A man.", "A biker."))
    assert [one.references for one in images.coco(data, "train")] == [("one", "two")]
    assert len(images.flickr30k(data, "val")[0].references) == 5
    put("dataset_coco.json", karpathy("coco"))
    data = DataFolder(tmp_path)
    assert [one.id for one in images.coco(data, "val")] == ["902"]
    assert [one.media.name for one in images.coco(data, "val2017")] == ["000000000139.jpg"]


def test_flickr30k_by_karpathys_splits(tmp_path: Path, put: Put) -> None:
    put("dataset_flickr30k.json", karpathy("flickr30k"))
    (found,) = images.flickr30k(DataFolder(tmp_path), "test")
    assert (found.id, found.media.name) == ("3", "img3.jpg")


def test_flickr30k_by_tokens_and_lists(tmp_path: Path, put: Put) -> None:
    put("results_20130124.token", "1000.jpg#0\tTwo men .\n1000.jpg#1\tA yard .\n2000.jpg#0\tA dog .\n")
    put("test.txt", "1000\n")
    (found,) = images.flickr30k(DataFolder(tmp_path), "test")
    assert (found.id, found.media.name, found.references) == ("1000", "1000.jpg", ("Two men .", "A yard ."))


def vqa(put: Put, prefix: str, **answer: str) -> None:
    question = {"image_id": 262148, "question": "Where is he looking?", "question_id": 262148000}
    put(f"{prefix}OpenEnded_mscoco_val2014_questions.json", {"data_subtype": "val2014", "questions": [question]})
    answers = [{"answer": "down", "answer_confidence": "yes", "answer_id": n, **answer} for n in range(1, 11)]
    row = {"question_id": 262148000, "image_id": 262148, "multiple_choice_answer": "down", "answers": answers}
    put(f"{prefix}mscoco_val2014_annotations.json", {"annotations": [row]})


def test_vqav2(tmp_path: Path, put: Put) -> None:
    vqa(put, "v2_")
    (found,) = images.vqav2(DataFolder(tmp_path), "val")
    assert found.id == "262148000"
    assert found.media.name == "val2014/COCO_val2014_000000262148.jpg"
    assert (found.question, found.answers) == ("Where is he looking?", (("down",),) * 10)


def test_okvqa_keeps_what_was_written_beside_the_stem(tmp_path: Path, put: Put) -> None:
    vqa(put, "", answer="race", raw_answer="racing")
    (found,) = images.okvqa(DataFolder(tmp_path), "val")
    assert found.answers == (("racing", "race"),) * 10


def test_textvqa(tmp_path: Path, put: Put) -> None:
    row = {
        "question": "what is the brand?",
        "image_id": "003a8ae2ef43b901",
        "question_id": 34602,
        "answers": ["nous"] * 10,
    }
    put("TextVQA_0.5.1_val.json", {"dataset_type": "val", "data": [row, {**row, "answers": []}]})
    (found,) = images.textvqa(DataFolder(tmp_path), "val")
    assert (found.id, found.media.name) == ("34602", "003a8ae2ef43b901.jpg")
    assert found.answers == (("nous",),) * 10


def test_textvqa_with_the_words_that_llava_shows(tmp_path: Path, put: Put) -> None:
    rows = [
        {"question": "what brand is this camera?", "image_id": "003a", "question_id": 34602, "answers": ["nous"] * 10},
        {"question": "what does it say?", "image_id": "003b", "question_id": 34603, "answers": ["go"] * 10},
    ]  # fmt: skip
    put("TextVQA_0.5.1_val.json", {"data": rows})
    how = "Answer the question using a single word or phrase."
    put(
        "llava_textvqa_val_v051_ocr.jsonl",
        [
            {"question_id": "003a", "image": "003a.jpg", "category": "default",
             "text": f"What brand is this camera?\nReference OCR token: NOUS, LITE\n{how}"},
            {"question_id": "003b", "image": "003b.jpg", "text": f"Reference OCR token: GO\nWhat does it say?\n{how}"},
        ],
    )  # fmt: skip
    one, other = images.textvqa_ocr(DataFolder(tmp_path), "val")
    assert (one.id, one.media.name, one.answers[0]) == ("34602", "003a.jpg", ("nous",))
    assert one.question.endswith(f"NOUS, LITE\n{how}")
    assert (other.id, other.answers[0]) == ("34603", ("go",))
    assert worded(one, TASKS["textvqa-ocr"], Protocol()) == one.question  # it says itself how to answer
    with pytest.raises(UserError, match="a CosMo cannot do textvqa-ocr"):
        check_able(TASKS["textvqa-ocr"], CosMoFamily())


def test_vizwiz(tmp_path: Path, put: Put) -> None:
    answers = [{"answer": "unanswerable", "answer_confidence": "yes"}] * 10
    row = {"image": "VizWiz_val_00000000.jpg", "question": "Ok. What is this?", "answers": answers, "answerable": 0}
    put("Annotations/val.json", [row])
    (found,) = images.vizwiz(DataFolder(tmp_path), "val")
    assert (found.id, found.media.name) == ("VizWiz_val_00000000", "VizWiz_val_00000000.jpg")
    assert found.answers[0] == ("unanswerable",)


def test_hateful_memes(tmp_path: Path, put: Put) -> None:
    put("dev_seen.jsonl", [{"id": 8291, "img": "img/08291.png", "label": 1, "text": "white  people\nis this"}])
    put("test.jsonl", [{"id": 1, "img": "img/00001.png", "text": "no label"}])
    (found,) = images.hateful_memes(DataFolder(tmp_path), "val")
    assert (found.media.name, found.text, found.label) == ("img/08291.png", "white people is this", "yes")
    with pytest.raises(UserError, match="has no labels"):
        images.hateful_memes(DataFolder(tmp_path), "test")


def test_msvd(tmp_path: Path, put: Put) -> None:
    put(
        "AllVideoDescriptions.txt",
        "# header\n\n-4wsuPCjDBc_5_15 a squirrel eats\n-4wsuPCjDBc_5_15 it eats\nx_1_2 a dog\n",
    )
    put("test_list.txt", "-4wsuPCjDBc_5_15\n")
    (found,) = videos.msvd(DataFolder(tmp_path), "test")
    assert (found.media.name, found.references) == ("-4wsuPCjDBc_5_15.avi", ("a squirrel eats", "it eats"))


def test_msvd_qa_names_videos_by_the_mapping(tmp_path: Path, put: Put) -> None:
    put("youtube_mapping.txt", "-4wsuPCjDBc_5_15 vid1\n")
    put("test_qa.json", [{"answer": "peanut", "id": 30933, "question": "what is it eating?", "video_id": 1}])
    (found,) = videos.msvd_qa(DataFolder(tmp_path), "test")
    assert (found.id, found.media.name, found.answers) == ("30933", "-4wsuPCjDBc_5_15", (("peanut",),))
    put("video/vid1.avi", "as its authors' code names them")
    assert videos.msvd_qa(DataFolder(tmp_path), "test")[0].media.name == "vid1"


def test_msrvtt(tmp_path: Path, put: Put) -> None:
    videos_ = [{"video_id": f"video{n}", "split": s, "id": n} for n, s in enumerate(("train", "validate", "test"))]
    sentences = [
        {"caption": f"caption {n} {k}", "video_id": f"video{n}", "sen_id": k} for n in range(3) for k in (0, 1)
    ]
    put("annotation/MSRVTT_data.json", {"info": {}, "videos": videos_, "sentences": sentences})
    data = DataFolder(tmp_path)
    assert [videos.msrvtt(data, split)[0].id for split in ("train", "val", "test")] == ["video0", "video1", "video2"]
    assert videos.msrvtt(data, "test")[0].references == ("caption 2 0", "caption 2 1")


def test_msrvtt_in_the_two_files_of_its_challenge(tmp_path: Path, put: Put) -> None:
    files = {"train_val_videodatainfo.json": ("train", "validate"), "test_videodatainfo.json": ("test",)}
    for name, splits in files.items():
        videos_ = [{"video_id": f"video-{split}", "split": split} for split in splits]
        sentences = [{"caption": f"of {split}", "video_id": f"video-{split}"} for split in splits]
        put(name, {"videos": videos_, "sentences": sentences})
    put("test_videodatainfo_2017.json", {"videos": [{"video_id": "video-more", "split": "test"}]})
    again = {"videos": [{"video_id": "video-test", "split": "train"}], "sentences": sentences}
    put("videodatainfo_2017.json", again)
    data = DataFolder(tmp_path)
    assert [len(videos.msrvtt(data, split)) for split in ("train", "val", "test")] == [1, 1, 1]
    assert [videos.msrvtt(data, split)[0].references for split in ("train", "val", "test")] == [
        ("of train",), ("of validate",), ("of test",),
    ]  # fmt: skip


def test_msrvtt_qa(tmp_path: Path, put: Put) -> None:
    row = {"answer": "couch", "category_id": 14, "id": 158581, "question": "what are three people sitting on?"}
    put("test_qa.json", [{**row, "video_id": 7010}])
    (found,) = videos.msrvtt_qa(DataFolder(tmp_path), "test")
    assert (found.media.name, found.answers) == ("video7010", (("couch",),))


def test_youcook2(tmp_path: Path, put: Put) -> None:
    step = {"segment": [41, 54], "id": 0, "sentence": "place the bacon slices on a pan"}
    entry = {"duration": 311.77, "subset": "validation", "recipe_type": "113", "annotations": [step]}
    put("youcookii_annotations_trainval.json", {"database": {"GLd3aX16zBg": entry}})
    bare = {"subset": "testing", "annotations": [{"segment": [1, 2], "id": 0}]}
    put("youcookii_annotations_test_segments_only.json", {"database": {"x": bare}})  # its archive's other file
    (found,) = videos.youcook2(DataFolder(tmp_path), "val")
    assert found.media == Media("GLd3aX16zBg", 41.0, 54.0)
    assert found.references == ("place the bacon slices on a pan",)


def test_real_rows_of_youcook2_and_msrvtt(shared_data: Path) -> None:
    """The tables of the MIL-NCE evaluation and the dense captions, as they are published."""
    data = DataFolder(shared_data / "metadata")
    pairs = videos.msrvtt_pairs(data, "test")
    assert len(pairs) == 1000
    assert (pairs[0].id, pairs[0].references) == ("video9770", ("a person is connecting something to system",))
    table = videos.youcook2(data, "val")
    assert table[0].media == Media("xHr8X2Wpmno", 47.0, 60.0)
    assert table[0].references == ("pick the ends off the verdalago",)


def test_dense_captions_of_youcook2(tmp_path: Path, shared_data: Path) -> None:
    dense = shared_data / "metadata" / "youcook2_val_densecap.json"
    (tmp_path / dense.name).write_bytes(dense.read_bytes())
    found = videos.youcook2(DataFolder(tmp_path), "val")
    assert found[0].media == Media("xHr8X2Wpmno", 47.0, 60.0)
    assert len({one.id for one in found}) == len(found) > 3000


def test_vatex(tmp_path: Path, put: Put) -> None:
    row = {"videoID": "YP_5zGlKj8E_000000_000010", "enCap": ["A man lifts. ", "He lifts"], "chCap": ["一"]}
    put("vatex_public_test_english_v1.1.json", [row])
    (found,) = videos.vatex(DataFolder(tmp_path), "test")
    assert found.media.name == "YP_5zGlKj8E_000000_000010.mp4"
    assert found.references == ("A man lifts.", "He lifts")


def test_tvc(tmp_path: Path, put: Put) -> None:
    descs = [{"type": "v", "desc_id": 90200, "from_retrieval": True, "desc": "Ross hugs Chandler."}]
    row = {"vid_name": "friends_s01e03_seg02_clip_19", "duration": 61.46, "ts": [16.48, 33.87], "clip_id": 86603}
    put("tvc_val_release.jsonl", [{**row, "descs": descs}])
    (found,) = videos.tvc(DataFolder(tmp_path), "val")
    assert found.media == Media("friends_s01e03_seg02_clip_19", 16.48, 33.87)
    assert found.references == ("Ross hugs Chandler.",)


def test_tgif(tmp_path: Path, put: Put) -> None:
    url = "https://38.media.tumblr.com/9f6c25cc350f12aa74a7dc386a5c4985/tumblr_mevmyaKtDf1rgvhr8o1_500.gif"
    put("data/tgif-v1.0.tsv", f"{url}\ta man is glaring\n{url}\ta man stares\nhttps://x/y.gif\tanother\n")
    put("data/splits/test.txt", f"{url}\n")
    (found,) = videos.tgif(DataFolder(tmp_path), "test")
    assert found.media.name == "tumblr_mevmyaKtDf1rgvhr8o1_500.gif"
    assert found.references == ("a man is glaring", "a man stares")


def test_tgif_qa(tmp_path: Path, put: Put) -> None:
    head = "gif_name\tquestion\tanswer\ttype\tvid_id\tkey\n"
    put("Test_frameqa_question.csv", head + "tumblr_a_500\twhat does the man wear ?\that\t0\tID1\t17\n")
    (found,) = videos.tgif_qa(DataFolder(tmp_path), "test")
    assert (found.id, found.media.name, found.answers) == ("17", "tumblr_a_500.gif", (("hat",),))


@pytest.mark.parametrize("task", TASKS)
def test_reported_missing_files_of_an_empty_folder(tmp_path: Path, task: str) -> None:
    with pytest.raises(UserError, match="there is no "):
        read(TASKS[task].reader, DataFolder(tmp_path), TASKS[task].split, task)


@pytest.mark.parametrize("content", ["{", "[]", '{"images": [{"split": "test"}]}', '{"images": 3}'])
def test_annotations_of_another_form_are_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset_coco.json").write_text(content)
    with pytest.raises(UserError, match=r"dataset_coco\.json|not laid out as those of coco-caption"):
        read(images.coco, DataFolder(tmp_path), "test", "coco-caption")


def test_an_empty_split_is_refused(tmp_path: Path, put: Put) -> None:
    put("dataset_coco.json", karpathy("coco"))
    with pytest.raises(UserError, match="no example of coco-caption's split 'minival'"):
        read(images.coco, DataFolder(tmp_path), "minival", "coco-caption")


def test_lines_end_where_files_say_and_cells_may_hold_several(tmp_path: Path, put: Put) -> None:
    put("a.csv", 'id,text\n1,"two\nlines"\n2,odd\u2028mark\n')
    assert [row["text"] for row in read_rows(tmp_path / "a.csv")] == ["two\nlines", "odd\u2028mark"]
    (tmp_path / "b.jsonl").write_text('{"text": "odd\u2028mark"}\n', encoding="utf-8")
    assert read_rows(tmp_path / "b.jsonl") == [{"text": "odd\u2028mark"}]
    put("c.token", "1.jpg#0\tA\u0085 dog\n")
    assert read_lines(tmp_path / "c.token") == ["1.jpg#0\tA\u0085 dog"]


def test_media_are_found_wherever_they_lie(tmp_path: Path) -> None:
    for name in ("a/train2014/x.jpg", "b/val2014/x.jpg", "videos/clip7.webm", "frames/show_1/00001.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    data = DataFolder(tmp_path)
    assert data.media("val2014/x.jpg") == tmp_path / "b/val2014/x.jpg"
    assert data.media("train2014/x.jpg") == tmp_path / "a/train2014/x.jpg"
    assert data.media("clip7.avi") == tmp_path / "videos/clip7.webm"
    assert data.media("clip7") == tmp_path / "videos/clip7.webm"
    assert data.media("show_1") == tmp_path / "frames/show_1"
    assert data.media("clip8.avi") is None


def test_reported_nearest_name_of_an_unknown_task() -> None:
    with pytest.raises(UserError, match="did you mean okvqa"):
        find("ok-vqa")
