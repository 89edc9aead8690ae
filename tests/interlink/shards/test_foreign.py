"""interlink verify on tars of any origin: what they are, what they hold, each cause once, exit 1 for damage."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foreign_tars import pairs, picture, tar_of
from interlink.cli import app
from interlink.errors import UserError
from interlink.shards.foreign import ShardReport, examine, tars_at


def report_of(path: Path, members: list[tuple[str, bytes]]) -> ShardReport:
    return examine(str(tar_of(path, members)))


def verify(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["verify", *arguments])
    return done.exit_code, done.output


def test_pairs_are_whole(tmp_path: Path) -> None:
    found = report_of(tmp_path / "a.tar", pairs(4))
    assert found.kinds == {"image-text pairs": 4} and found.suffixes == {"jpg": 4, "txt": 4}
    assert found.problems.lines() == found.remarks.lines() == []


def test_every_cause_is_said_once_with_its_count(tmp_path: Path) -> None:
    members = [
        *pairs(2),
        *((f"b{number}.{end}", data) for number in range(3) for end, data in (("jpg", picture(0)[:90]), ("txt", b"t"))),
        ("c.jpg", picture(1)), ("c.txt", "é à la carte, crème brûlée".encode("latin-1")),
        ("d.jpg", picture(1)), ("d.json", b'{"caption": NaN}'),
        ("e.jpg", picture(1)), ("e.json", b'{"caption": '),
        ("f.json", json.dumps({"texts": [None, "t"], "images": [{"image_name": "1.jpg"}, None]}).encode()),
        ("g.json", json.dumps({"conversations": [], "image": "a.jpg"}).encode()),
        ("h.bin", b"x"),
    ]  # fmt: skip
    found = report_of(tmp_path / "a.tar", members)
    assert found.samples == 11
    lines = found.problems.lines()
    assert len(lines) == 5
    assert any(line.startswith("3 pictures that do not decode") and "b0" in line for line in lines)
    assert any("conversations without their picture" in line for line in lines)
    assert any("places of pictures on pages that no member fits" in line for line in lines)
    assert found.remarks.lines() == [
        "1 samples without a document, a picture or a video (for example h)",
        "1 samples without text, which a trainer passes over (for example d)",
    ]


def test_an_index_of_another_tar_is_a_problem(tmp_path: Path) -> None:
    from interlink.shards import ShardWriter
    from interlink.storage import Storage

    for name, key in (("a", "one"), ("b", "another")):
        with ShardWriter(Storage(str(tmp_path / name)), "", lambda number: f"{number}.tar", 10**6) as writer:
            writer.add(key, [("jpg", picture(0)), ("txt", b"t")])
    assert examine(str(tmp_path / "a/0.tar")).problems.lines() == []
    (tmp_path / "a/0.index.parquet").write_bytes((tmp_path / "b/0.index.parquet").read_bytes())
    assert examine(str(tmp_path / "a/0.tar")).problems.lines()[0].startswith("the index next to it is of another tar")


def test_the_command_takes_tars_folders_and_globs(tmp_path: Path) -> None:
    tar_of(tmp_path / "deep" / "er" / "00000.tar", pairs(3))
    whole = tar_of(tmp_path / "00001.tar", pairs(2))
    for path, tars in ((str(whole), 1), (str(tmp_path), 1), (str(tmp_path / "deep"), 1), (str(tmp_path / "*.tar"), 1)):
        code, said = verify(path)
        assert code == 0 and f"{tars} tar, " in said and "no problems" in said, said
    assert "2 image-text pairs (2 jpg, 2 txt)" in verify(str(whole))[1]


def test_damage_is_exit_code_1(tmp_path: Path) -> None:
    whole = tar_of(tmp_path / "a.tar", pairs(3)).read_bytes()
    (tmp_path / "a.tar").write_bytes(whole[: 512 * 9])
    code, said = verify(str(tmp_path))
    assert code == 1 and "problem: " in said and "1 of the tars have problems" in said
    code, said = verify(str(tmp_path), "--json")
    assert code == 1 and json.loads(said)[0]["problems"]


def test_a_file_that_is_no_tar_and_a_pipe_are_said(tmp_path: Path) -> None:
    (tmp_path / "data.bin").write_bytes(b"x" * 600)
    code, said = verify(str(tmp_path / "data.bin"))
    assert code == 1 and "is no tar, or damaged" in said
    for name in ("pipe", "pipe.tar"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(UserError, match="not a regular file"):
            tars_at(str(tmp_path / name))


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no shard"):
        examine(str(tmp_path / "none.tar"))
