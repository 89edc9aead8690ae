"""What the programs that a release is made for ask of its files: by themselves where they are here, else by their
rules."""

from __future__ import annotations

import io
import json
import tarfile
from argparse import Namespace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml

from interlink.release import ReleaseSettings, release
from interlink.release.card import size_band
from interlink.storage import Storage
from releasing import EVERY_FORMAT, LOCK, Made_, make, put, simple

pandas = pytest.importorskip("pandas", reason="pandas reads the TSV files as CosMo's loader does")


@pytest.fixture(scope="module")
def documents() -> list[Made_]:
    """Two videos of one document, one of two; one clip says nothing, one speaks with quotes."""
    made = [simple(n, clips=3) for n in range(4)]
    made[3].document.source.video_id, made[3].document.source.path = "video2", "video2.mp4"
    made[1].document.clips[1].caption = made[1].document.clips[1].speech = ""
    made[2].document.clips[0].caption = 'A "hand"\tturns.\nIt\\stops.'
    for one in made:
        one.document.source.url = f"https://tube.example/{one.document.source.video_id}"
    return made


@pytest.fixture(scope="module")
def out(documents: list[Made_], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("released")
    make(put(Storage(str(folder / "root")), documents), folder / "out", val_share=0.0)
    return folder / "out"


def seconds(time: str) -> int:
    """As CosMo's loader and two scripts for the hosted files do: whole numbers, three of them."""
    hours, minutes, rest = (int(part) for part in time.split(":"))
    return 3600 * hours + 60 * minutes + rest


def test_cosmo_finds_path_and_clips_and_enough_of_them(out: Path) -> None:
    """showlab/cosmo, src/data/interleave_video_text_dataset.py and preprocess_interleaved_video."""
    for variant in ("all", "sampled"):
        table = pandas.read_csv(out / "howto" / f"told_subset_w_{variant}_clips_train.tsv", sep="\t", header=0)
        table["clips"] = table["clips"].apply(json.loads)
        for _, sample in table.iterrows():
            assert sample["path"].rpartition(".")[2] == "mp4"
            assert len(sample["clips"]) >= 2  # its VIDEO_SAMPLED_CLIPS
            for clip in sample["clips"]:
                start, end = clip["clip"].split(" - ")
                assert seconds(start) < seconds(end) and clip["caption"].strip()


def test_a_script_for_the_hosted_files_reads_ours(out: Path) -> None:
    """It splits at tabs into three, takes the quotes off by hand, and names a file for each clip_id of a video."""
    text = (out / "howto" / "told_subset_w_all_clips_train.tsv").read_text()
    files: list[tuple[str, str]] = []
    for line in text.splitlines():
        video, cell, _ = line.strip().split("\t")
        if video.split("/")[-1] == "video":
            continue
        clips = json.loads(cell.replace('""', '"')[1:-1])
        files += [(video[:-4], "clip_" + clip["clip_id"] + ".mp4") for clip in clips]
    assert files[:5] == [
        *(("video0", f"clip_{n}.mp4") for n in (0, 1, 2)),
        ("video1", "clip_0.mp4"),
        ("video1", "clip_2.mp4"),
    ]
    assert len(set(files)) == len(files) == 11  # two documents of one video do not share ids


def obelics_parsed(sample: dict[str, Any]) -> tuple[list[Any], list[str | None], list[Any]]:
    """The checks of OmniCorpus' ObelicsFormatDataset, and of OBELICS' card."""
    images, texts, metadata = sample["images"], sample["texts"], json.loads(sample["metadata"])
    assert isinstance(metadata, list) and len(images) == len(texts) == len(metadata)
    assert sum(image is not None for image in images) == sum(text is None for text in texts)
    for image, about in zip(images, metadata, strict=True):
        assert (image is None) == (about is None)
        assert about is None or about["document_url"].startswith("https://tube.example/")
    assert json.loads(sample["general_metadata"])["url"].startswith("https://tube.example/")
    return images, texts, metadata


def test_obelics_columns_are_what_its_readers_parse(out: Path, documents: list[Made_]) -> None:
    datasets = pytest.importorskip("datasets", reason="pip install datasets, to read the folder back with it")
    datasets.disable_progress_bars()
    rows = datasets.load_dataset(str(out), split="train", streaming=True)
    for made, row in zip(documents, rows, strict=True):
        images, texts, metadata = obelics_parsed(row)
        # torchtitan: an image token for each None among the texts, and as many pictures.
        assert sum(image.size == (48, 32) for image in images if image) == [*texts].count(None) == 6
        assert [about["time"] for about in metadata if about] == [e[1] for e in made.elements() if e[3] is None]
        assert json.loads(row["document"]) == json.loads(made.document.dump())


def test_nemo_curator_resolves_every_image_of_the_tars(out: Path) -> None:
    """InterleavedWebdatasetReaderStage: an image is the member that bears its whole name; positions are the slots."""
    with tarfile.open(out / "obelics" / "train-00000.tar") as tar:
        members = {member.name: member for member in tar}
        for name in [name for name in members if name.endswith(".json")]:
            file = tar.extractfile(name)
            assert file is not None
            sample = json.load(file)
            assert Path(name).stem == sample["sample_id"]
            images, texts, _ = obelics_parsed(sample)
            assert all(image in members and image.startswith(f"{sample['sample_id']}.") for image in images if image)
            slots = [n for n, text in enumerate(texts) if text is not None]
            assert sorted(slots + [n for n, image in enumerate(images) if image is not None]) == [*range(len(texts))]


def test_nemo_curator_keeps_every_row(out: Path) -> None:
    """Its schema, the mask of valid rows of its filters, and its locators (path, member, byte range, frame)."""
    table = pq.read_table(out / "nemo" / "train-00000.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    reserved = {
        **{"sample_id": "string", "position": "int32", "modality": "string", "content_type": "string"},
        **{"text_content": "string", "binary_content": "large_binary", "source_ref": "string"},
        "materialize_error": "string",
    }
    assert list(types.items())[:8] == list(reserved.items())
    frame = table.to_pandas(types_mapper=pandas.ArrowDtype)
    is_metadata = frame["modality"] == "metadata"
    valid = (is_metadata & (frame["position"] == -1)) | (~is_metadata & (frame["position"] >= 0))
    assert valid.all() and frame["modality"].isin(["text", "image", "metadata", "table"]).all()
    assert not ((frame["modality"] == "image") & frame["binary_content"].isna()).any()  # nothing to materialise
    assert frame["materialize_error"].isna().all()
    for row in frame.itertuples():
        assert json.loads(row.source_ref).keys() == {"path", "member", "byte_offset", "byte_size", "frame_index"}


def test_img2datasets_files_have_its_keys_and_names(out: Path) -> None:
    """img2dataset 1.47: downloader.py (with compute_hash sha256 and extract_exif), logger.write_stats."""
    folder = out / "pairs" / "train"
    stats = json.loads((folder / "00000_stats.json").read_text())
    assert list(stats) == [
        *("count", "successes", "failed_to_download", "failed_to_resize"),
        *("duration", "start_time", "end_time", "status_dict"),
    ]
    assert stats["successes"] == stats["count"] == stats["status_dict"]["success"] == 22
    names = set(pq.read_schema(folder / "00000.parquet").names)
    assert names >= {
        *("caption", "url", "key", "status", "error_message", "width", "height"),
        *("original_width", "original_height", "exif", "sha256"),
    }
    with tarfile.open(folder / "00000.tar") as tar:
        assert tar.getnames()[:3] == ["doc0-000.jpg", "doc0-000.txt", "doc0-000.json"]


def test_the_loaders_of_cosmo_and_open_clip_find_how_many_samples_a_tar_has(out: Path) -> None:
    for folder, tar, count in (("pairs/train", "00000.tar", 22), ("obelics", "train-00000.tar", 4)):
        for name in ("num_samples.json", "sizes.json"):
            assert json.loads((out / folder / name).read_text()) == {tar: count}


@pytest.mark.parametrize("train", [True, False])
def test_open_clip_takes_the_pairs_for_training(out: Path, train: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """open_clip's own --train-data, without --train-num-samples, and --val-data."""
    from interlink.engines.guard import ensure_torchvision

    torch = pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("webdataset", reason="webdataset is not installed")
    ensure_torchvision()
    data = pytest.importorskip("open_clip_train.data", reason="open_clip_torch is not installed")
    # open_clip 3.3 stumbles over the end mark of webdataset >= 0.2.96, whatever the tar; this is the known way round.
    monkeypatch.setattr(data, "tar_file_expander", partial(data.tar_file_expander, eof_value=None))
    monkeypatch.setenv("WDS_EPOCH", "0")
    tars = str(out / "pairs" / "train" / "{00000..00000}.tar")
    assert data.get_dataset_size(str(out / "obelics" / "train-{00000..00000}.tar")) == (4, 1)
    arguments = Namespace(
        **{"train_data": tars, "train_num_samples": None, "train_data_upsampling_factors": None, "seed": 0},
        **{"val_data": tars, "val_num_samples": None, "workers": 0, "world_size": 1, "batch_size": 11},
    )

    def picture(image: Any) -> Any:
        assert image.size == (48, 32)
        return torch.zeros(1)

    def tokens(text: str) -> Any:
        return torch.tensor([[len(text)]])

    loader = data.get_wds_dataset(arguments, picture, train, tokenizer=tokens).dataloader
    assert not train or (loader.num_samples, loader.num_batches) == (22, 2)
    lengths = [int(length) for _, texts in loader for length in texts]
    assert len(lengths) == 22 and min(lengths) == len("A hand does step 0.")


def test_llava_conversations_keep_the_rules_of_its_trainers(out: Path) -> None:
    """LLaVA-NeXT, llava/train/train.py: turns in pairs from human and gpt, a question with pictures begins with them,
    as many `<image>` as pictures, `image` one name or a list of them below the image folder."""
    from PIL import Image

    entries = json.loads((out / "llava-document" / "train.json").read_text())
    for entry in entries:
        assert [turn["from"] for turn in entry["conversations"]] == ["human", "gpt"] * (
            len(entry["conversations"]) // 2
        )
        questions = [turn["value"] for turn in entry["conversations"][::2]]
        assert all(value.startswith("<image>") for value in questions if "<image>" in value)
        assert "".join(turn["value"] for turn in entry["conversations"]).count("<image>") == len(entry["image"])
        for name in entry["image"]:
            assert Image.open(io.BytesIO((out / "llava-document" / "images" / name).read_bytes())).mode == "RGB"
    assert len({entry["id"] for entry in entries}) == 4


def test_trainers_of_one_picture_take_a_conversation_a_clip(documents: list[Made_], tmp_path: Path) -> None:
    """LLaVA 1.5 joins `image` to its image folder, so it is one name; its first stage wants a pair of turns. Our CuMo
    packs such records, and leaves out those with several pictures."""
    from cosmos_train.stream.talk.convert import pack_llava

    storage = put(Storage(str(tmp_path / "root")), documents)
    make(storage, tmp_path / "out", "llava", val_share=0.0)
    folder = tmp_path / "out" / "llava"
    entries = json.loads((folder / "train.json").read_text())
    assert len({entry["id"] for entry in entries}) == len(entries) == 11  # of twelve clips, one says nothing
    for entry in entries:
        question, answer = entry["conversations"]
        assert (folder / "images" / entry["image"]).is_file()
        assert question["value"].startswith("<image>\n") and answer["from"] == "gpt"
    assert sum(1 for path in (folder / "images").rglob("*.jpg")) == 11
    packed = pack_llava(folder / "train.json", folder / "images", tmp_path / "packed")
    assert (packed.records, packed.pictures) == (11, 11)


@pytest.mark.parametrize(
    ("formats", "opened"),
    [
        (
            EVERY_FORMAT,
            {"parquet": 4, "datasets": 4, "nemo": 40, "messages": 4},
        ),  # a row an element: 3 texts, 6 pictures, the metadata
        (("howto", "pairs"), {"pairs": 22}),
        (("howto",), {"howto": 4}),
        (("obelics", "llava"), {}),
    ],
)
def test_the_card_names_what_hugging_face_can_open(
    documents: list[Made_], tmp_path: Path, formats: tuple[str, ...], opened: dict[str, int]
) -> None:
    datasets = pytest.importorskip("datasets", reason="pip install datasets, to open what the card names")
    datasets.disable_progress_bars()
    make(put(Storage(str(tmp_path / "root")), documents), tmp_path / "out", *formats, val_share=0.0, sample_documents=0)
    front = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---\n")[1])
    names = [config["config_name"] for config in front.get("configs", [])]
    assert names == list(opened)
    for name in names:
        whole = datasets.load_dataset(str(tmp_path / "out"), name, cache_dir=str(tmp_path / "cache"))
        assert {split: len(rows) for split, rows in whole.items()} == {"train": opened[name]}


@pytest.mark.parametrize(
    ("licence", "told"),
    [
        ("", {}),
        ("CC-BY-4.0", {"license": "cc-by-4.0"}),
        ("EUPL-1.2", {"license": "other", "license_name": "eupl-1.2", "license_link": "https://spdx.org/licenses/EUPL-1.2.html"}),
        ("https://a.example/terms", {"license": "other", "license_name": "a.example-terms", "license_link": "https://a.example/terms"}),
        ("Our own", {"license": "other", "license_name": "our-own"}),
    ],
)  # fmt: skip
def test_the_hub_is_told_a_licence_that_it_knows(tmp_path: Path, licence: str, told: dict[str, str]) -> None:
    make(put(Storage(str(tmp_path / "root")), [simple(0)]), tmp_path / "out", "howto", licence=licence)
    front = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---\n")[1])
    assert {key: value for key, value in front.items() if key.startswith("license")} == told


def test_sizes_are_the_hubs_bands() -> None:
    bands = [size_band(count) for count in (0, 999, 1000, 99_999, 10_000_000, 10**9, 10**11, 10**12)]
    assert bands == ["n<1K", "n<1K", "1K<n<10K", "10K<n<100K", "10M<n<100M", "1B<n<10B", "100B<n<1T", "n>1T"]


def test_the_recipe_can_be_taken_out_of_the_published_lock(out: Path, tmp_path: Path) -> None:
    import subprocess
    import sys

    card = (out / "README.md").read_text()
    command = next(line for line in card.splitlines() if line.startswith("python -c "))
    code = command.removeprefix('python -c "').partition('"')[0]
    done = subprocess.run([sys.executable, "-c", code], cwd=out, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"name": "told"}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("folder", "1 interleaved document from 1 video: frames and text alternate"),
        ("pairs", "1 interleaved document from 1 picture: pictures and text."),
        ("pages", "1 interleaved document from 1 web page: pictures and text."),
    ],
)
def test_the_card_calls_things_what_they_are(tmp_path: Path, kind: str, said: str) -> None:
    lock = {**LOCK, "recipe": {"name": "told", "source": {"kind": kind}}}
    storage = put(Storage(str(tmp_path / "root")), [simple(0)])
    release(storage, lock, {}, ["parquet"], str(tmp_path / "out"), ReleaseSettings())
    card = (tmp_path / "out" / "README.md").read_text()
    croissant = (tmp_path / "out" / "croissant.json").read_text()
    assert said in card and said in croissant
    assert ("- video" in card) == ('"video"' in croissant) == (kind == "folder")
