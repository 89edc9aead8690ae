"""Compositional sets: each layout as published, and the three scores by their definitions."""

from __future__ import annotations

import io
import itertools
import json
import random
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from cosmos_train.cli import app
from cosmos_train.errors import UserError
from cosmos_train.evaluate.compose import compose, right
from cosmos_train.evaluate.loading import load_pair
from cosmos_train.evaluate.media import Unreadable
from cosmos_train.evaluate.protocol import Protocol
from cosmos_train.evaluate.readers import compositions
from cosmos_train.evaluate.readers.folder import DataFolder, Media, read
from cosmos_train.evaluate.tasks import COMPOSITION
from judged import COLOURS, cosmos_run, paint


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return cosmos_run(shards, tmp_path_factory.mktemp("compose") / "run")


def lines(path: Path, *rows: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(one if isinstance(one, str) else json.dumps(one) for one in rows) + "\n")


def test_winoground_by_its_lines_or_by_the_hubs_file(tmp_path: Path) -> None:
    row = {"id": 7, "image_0": "ex_7_img_0", "image_1": "ex_7_img_1", "caption_0": "a b", "caption_1": "b a"}
    lines(tmp_path / "lines/examples.jsonl", row | {"collapsed_tag": "Object"})
    (found,) = compositions.winoground(DataFolder(tmp_path / "lines"), "test")
    assert found.media == (Media("ex_7_img_0.png"), Media("ex_7_img_1.png"))
    assert (found.id, found.group, found.texts) == ("7", "Object", ("a b", "b a"))
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), (200, 0, 0)).save(buffer, "PNG")
    picture = {"bytes": buffer.getvalue(), "path": "x.png"}
    rows = [row | {"id": number, "tag": "Swap", "image_0": picture, "image_1": picture} for number in range(3)]
    (tmp_path / "hub/data").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "hub/data/test-0.parquet", row_group_size=2)
    found = compositions.winoground(DataFolder(tmp_path / "hub"), "test")[2]
    assert found.media[1] == Media("data/test-0.parquet", row=2, column="image_1")


def test_sugarcrepe_svo_and_mmvp(tmp_path: Path) -> None:
    for kind in ("add_att", "swap_obj"):
        content = {"0": {"filename": "000000085329.jpg", "caption": "a", "negative_caption": f"b {kind}"}}
        lines(tmp_path / "sugar" / f"{kind}.json", content)
    found = compositions.sugarcrepe(DataFolder(tmp_path / "sugar"), "test")
    assert [(one.id, one.group, one.texts) for one in found] == [
        ("add_att-0", "add_att", ("a", "b add_att")), ("swap_obj-0", "swap_obj", ("a", "b swap_obj")),
    ]  # fmt: skip
    head = "sentence,pos_triplet,neg_triplet,pos_url,neg_url,pos_image_id,neg_image_id,subj_neg,verb_neg,obj_neg"
    row = 'A man walks.,"man,walk,","man,run,",u,v,11,12,False,True,False'
    # Its authors score rows that differ in one thing alone.
    both, neither = row.replace("True,False", "True,True"), row.replace("True", "False")
    lines(tmp_path / "svo/svo_probes.csv", head, both, row, neither)
    (item,) = compositions.svo_probes(DataFolder(tmp_path / "svo"), "test")
    assert (item.group, item.media, item.texts) == ("verb", (Media("11.jpg"), Media("12.jpg")), ("A man walks.",))
    lines(tmp_path / "mmvp/Questions.csv", "Question ID,Type,Statement", "1,Texts,a dog", '2,Texts,"a cat, left"')
    (item,) = compositions.mmvp_vlm(DataFolder(tmp_path / "mmvp"), "test")
    assert item.media == (Media("Texts/1.jpg"), Media("Texts/2.jpg"))
    assert item.texts == ("a photo of a dog", "a photo of a cat, left")
    (tmp_path / "nothing").mkdir()
    for task in COMPOSITION.values():
        with pytest.raises(UserError, match="there is no"):
            read(task.reader, DataFolder(tmp_path / "nothing"), "test", task.name)


def test_the_scores_are_winogrounds() -> None:
    """Pictures stand in rows, texts in columns."""
    for values in itertools.permutations((0.1, 0.2, 0.3, 0.4)):
        table = torch.tensor(values).reshape(2, 2)
        (c0_i0, c1_i0), (c0_i1, c1_i1) = table.tolist()
        text = c0_i0 > c1_i0 and c1_i1 > c0_i1
        image = c0_i0 > c0_i1 and c1_i1 > c1_i0
        assert right(table, "text") == text
        assert right(table, "image") == image
        assert right(table, "group") == (text and image)
    assert not right(torch.ones(2, 2), "text")  # a tie is no answer


def test_chance_is_what_random_vectors_score() -> None:
    draw = random.Random(0)
    tables = [torch.tensor([[draw.random(), draw.random()] for _ in range(2)]) for _ in range(6000)]
    for score, chance in (("text", 1 / 4), ("image", 1 / 4), ("group", 1 / 6)):
        assert sum(right(table, score) for table in tables) / len(tables) == pytest.approx(chance, abs=0.02)
    sugar = [table[:1] for table in tables]
    assert sum(right(table, "text") for table in sugar) / len(sugar) == pytest.approx(0.5, abs=0.02)


class Knows:
    """An embedder that knows colours, and mistakes one."""

    checkpoint, step, part = "known", 0, "student"

    def asked(self) -> AbstractContextManager[None]:
        return nullcontext()

    def see(self, data: DataFolder, media: Sequence[Media]) -> list[Tensor | Unreadable]:
        names = [Path(one.name).stem for one in media]
        return [Unreadable("broken") if name == "broken" else self._vector(name) for name in names]

    def read(self, texts: Sequence[str]) -> Tensor:
        return torch.stack([self._vector(text.split()[-1]) for text in texts])

    def _vector(self, name: str) -> Tensor:
        alike = {"purple": "white", "broken": "white"}
        return torch.eye(len(COLOURS))[list(COLOURS).index(alike.get(name, name))]


def test_results_by_kind_and_what_is_left_out(tmp_path: Path) -> None:
    rows = [
        ("red", "green", "Object"),
        ("blue", "purple", "Object"),
        ("white", "purple", "Both"),
        ("broken", "red", ""),
    ]
    lines(
        tmp_path / "examples.jsonl",
        *(
            {"id": k, "image_0": a, "image_1": b, "caption_0": f"a {a}", "caption_1": f"a {b}", "collapsed_tag": kind}
            for k, (a, b, kind) in enumerate(rows)
        ),
    )
    for name in (*COLOURS, "broken"):
        paint(tmp_path / f"{name}.png", size=(2, 2))
    embedder = Knows()
    protocol = Protocol(max_left_out=0.5)
    text, image, group = compose(embedder, COMPOSITION["winoground"], DataFolder(tmp_path), protocol)
    assert [one.metric for one in (text, image, group)] == ["text score, %", "image score, %", "group score, %"]
    assert text.score == pytest.approx(200 / 3)  # white and purple look alike
    assert text.more == {"Both": 0, "Object": 100}
    assert (text.examples, text.left_out, text.left_out_named) == (3, 1, ("3: broken",))
    assert (text.chance, group.chance) == (25, pytest.approx(100 / 6))
    with pytest.raises(UserError, match="1 of 4"):
        compose(embedder, COMPOSITION["winoground"], DataFolder(tmp_path), Protocol())


def test_kinds_weigh_alike_in_sugarcrepe(tmp_path: Path) -> None:
    for kind, pairs in {"add_att": [("red", "a blue")] * 3, "swap_obj": [("purple", "a white")]}.items():
        content = {
            str(k): {"filename": f"{name}.png", "caption": f"a {name}", "negative_caption": other}
            for k, (name, other) in enumerate(pairs)
        }
        lines(tmp_path / f"{kind}.json", content)
    for name in COLOURS:
        paint(tmp_path / f"{name}.png", size=(2, 2))
    (found,) = compose(Knows(), COMPOSITION["sugarcrepe"], DataFolder(tmp_path), Protocol())
    assert (found.score, found.chance) == (50, 50)
    assert found.more == {"add_att": 100, "swap_obj": 0}


def test_the_command_gives_all_three_scores(run: Path, tmp_path: Path) -> None:
    for number, colour in enumerate(("red", "green")):
        paint(tmp_path / f"images/ex_0_img_{number}.png", COLOURS[colour])
    lines(tmp_path / "examples.jsonl", {"id": 0, "caption_0": "a red square", "caption_1": "a green square"})
    done = CliRunner().invoke(app, ["evaluate", str(run), "--task", "winoground", "--data", str(tmp_path), "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [one["metric"] for one in found] == ["text score, %", "image score, %", "group score, %"]
    pair = load_pair(run, [], "teacher")
    with pair.asked():
        media = [Media(f"images/ex_0_img_{number}.png") for number in range(2)]
        seen = torch.stack([one for one in pair.see(DataFolder(tmp_path), media) if isinstance(one, Tensor)])
        table = seen @ pair.read(["a red square", "a green square"]).T
    assert [one["score"] for one in found] == [100 * right(table, way) for way in ("text", "image", "group")]
