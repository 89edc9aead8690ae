"""MSVD, MSR-VTT, YouCook2, VATEX, TVC, TGIF and their question sets: their published layouts as examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cosmos_train.evaluate.readers.folder import DataFolder, Example, Media, read_json, read_lines, read_rows

_VATEX_FILES = {
    "train": ("vatex_training_v*.json",),
    "val": ("vatex_validation_v*.json",),
    "test": ("vatex_public_test_english_v*.json", "vatex_public_test*.json"),
}


def msvd(data: DataFolder, split: str) -> list[Example]:
    """AllVideoDescriptions.txt (`<video> caption` a line) with <split>_list.txt or <split>.txt naming the videos."""
    captions: dict[str, list[str]] = {}
    for line in read_lines(data.annotation("AllVideoDescriptions.txt")):
        if not line.startswith("#") and " " in line:
            video, _, caption = line.partition(" ")
            captions.setdefault(video, []).append(caption.strip())
    wanted = read_lines(data.annotation(f"{split}_list.txt", f"{split}.txt"))
    names = [line.removesuffix(".avi") for line in wanted]
    return [Example(name, Media(f"{name}.avi"), tuple(captions[name])) for name in names if name in captions]


def msvd_qa(data: DataFolder, split: str) -> list[Example]:
    """<split>_qa.json; its video_id n is `vidn`, as its authors' code renamed the videos; if there is no such video,
    the name in youtube_mapping.txt (`<video> vidn`).
    """
    names: dict[str, str] = {}
    if data.has("*youtube_mapping.txt"):
        for line in read_lines(data.annotation("*youtube_mapping.txt")):
            video, short = line.split()
            if data.media(short) is None:
                names[short] = video
    return _qa(data, split, "vid", names)


def msrvtt(data: DataFolder, split: str) -> list[Example]:
    """MSRVTT_data.json (all splits in one), or *videodatainfo*.json (train and val in one, the test in another); the
    test of retrieval is *JSFUSION_test.csv.
    """
    whole = "MSRVTT_data.json"
    paths = data.annotations(whole)[:1] or data.annotations("*videodatainfo*.json")
    several = [read_json(path) for path in paths or [data.annotation(whole, "*videodatainfo*.json", "*MSRVTT*.json")]]
    ours = {"val": "validate"}.get(split, split)
    captions: dict[str, list[str]] = {}
    splits: dict[str, str] = {}
    for annotated in several:  # the challenge of 2017 repeats some videos, and its test has no sentences
        known = set(splits)
        for video in annotated["videos"]:
            splits.setdefault(video["video_id"], video["split"])
        for sentence in annotated.get("sentences", ()):
            if sentence["video_id"] not in known:
                captions.setdefault(sentence["video_id"], []).append(sentence["caption"].strip())
    wanted = [video for video, split_ in splits.items() if split_ == ours and video in captions]
    return [Example(video, Media(f"{video}.mp4"), tuple(captions[video])) for video in wanted]


def msrvtt_pairs(data: DataFolder, split: str) -> list[Example]:
    """The 1,000 pairs of retrieval: a table with video_id and sentence."""
    rows = read_rows(data.annotation(f"*JSFUSION_{split}.csv", f"*msrvtt*{split}*.csv", f"*MSRVTT*{split}*.csv"))
    return [Example(row["video_id"], Media(f"{row['video_id']}.mp4"), (row["sentence"].strip(),)) for row in rows]


def msrvtt_qa(data: DataFolder, split: str) -> list[Example]:
    """<split>_qa.json; its video_id n is `videon`."""
    return _qa(data, split, "video", {})


def youcook2(data: DataFolder, split: str) -> list[Example]:
    """youcookii_annotations_trainval.json; else the segments as a table, or as <video>: timestamps, sentences."""
    named = {"train": "training", "val": "validation"}.get(split, split)
    # youcookii_annotations_test_segments_only.json may lie next to it; it has no sentences.
    if data.has("youcook*_annotations_trainval*.json"):
        database = read_json(data.annotation("youcook*_annotations_trainval*.json"))["database"]
        return [
            _segment(video, number, step["segment"], step["sentence"])
            for video, one in database.items()
            if one["subset"] == named
            for number, step in enumerate(one["annotations"])
        ]
    tables = (f"*{named}_youcook*.csv", f"*youcook*{split}*.csv")
    if data.has(*tables):
        rows = read_rows(data.annotation(*tables))
        return [_segment(row["video_id"], n, (row["start"], row["end"]), row["text"]) for n, row in enumerate(rows)]
    dense = read_json(data.annotation(f"*youcook2_{split}_densecap.json", f"*youcook*{split}*.json"))
    return [
        _segment(video.removeprefix("v_"), number, span, sentence)
        for video, one in dense.items()
        for number, (span, sentence) in enumerate(zip(one["timestamps"], one["sentences"], strict=True))
    ]


def vatex(data: DataFolder, split: str) -> list[Example]:
    """vatex_training / validation / public_test_english: videoID and the English captions."""
    rows = read_rows(data.annotation(*_VATEX_FILES.get(split, (f"vatex_{split}*.json",))))
    return [
        Example(row["videoID"], Media(f"{row['videoID']}.mp4"), tuple(caption.strip() for caption in row["enCap"]))
        for row in rows
    ]


def tvc(data: DataFolder, split: str) -> list[Example]:
    """tvc_<split>_release.jsonl: spans of TV clips, which are videos or folders of frames at 3 a second."""
    return [
        Example(
            str(row["clip_id"]),
            Media(row["vid_name"], float(row["ts"][0]), float(row["ts"][1])),
            tuple(one["desc"].strip() for one in row["descs"]),
        )
        for row in read_rows(data.annotation(f"tvc_{split}_release.jsonl", f"tvc_{split}*.jsonl"))
        if row.get("descs")
    ]


def tgif(data: DataFolder, split: str) -> list[Example]:
    """tgif-v1.0.tsv (`url caption`, tab between) with <split>.txt naming the urls."""
    captions: dict[str, list[str]] = {}
    for line in read_lines(data.annotation("tgif-v*.tsv")):
        url, _, caption = line.partition("\t")
        captions.setdefault(url, []).append(caption.strip())
    wanted = [url for url in read_lines(data.annotation(f"splits/{split}.txt", f"{split}.txt")) if url in captions]
    return [Example(name, Media(name), tuple(captions[url])) for url in wanted for name in (url.rpartition("/")[2],)]


def tgif_qa(data: DataFolder, split: str) -> list[Example]:
    """Train / Test_frameqa_question.csv: tables, tab between, with gif_name, question, answer."""
    rows = read_rows(data.annotation(f"{split.capitalize()}_frameqa_question.csv", f"*{split}*frameqa*.csv"))
    return [
        Example(
            str(row.get("key") or number),
            Media(f"{row['gif_name']}.gif"),
            question=row["question"].strip(),
            answers=((row["answer"].strip(),),),
        )
        for number, row in enumerate(rows)
    ]


def _qa(data: DataFolder, split: str, prefix: str, names: dict[str, str]) -> list[Example]:
    found = []
    for row in read_rows(data.annotation(f"{split}_qa.json", f"*qa_{split}*.jsonl", f"*{split}*qa*.json*")):
        video = str(row["video_id"])
        short = video if video.startswith(prefix) else f"{prefix}{video}"
        found.append(
            Example(
                str(row["id"]),
                Media(names.get(short, short)),
                question=str(row["question"]).strip(),
                answers=((str(row["answer"]).strip(),),),
            )
        )
    return found


def _segment(video: str, number: int, span: Sequence[Any], sentence: str) -> Example:
    start, end = span
    return Example(f"{video}-{number:03d}", Media(video, float(start), float(end)), (sentence.strip(),))
