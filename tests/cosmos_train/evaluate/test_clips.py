"""What held-out scores look at: every clip with frames and text once, each with its own text."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import torch

from cosmos_train.evaluate.clips import embed
from cosmos_train.evaluate.generate import frames_of
from cosmos_train.families.cosmo.model import build_cosmo
from cosmos_train.recipe import Recipe
from cosmos_train.stream.tokenizer import Tokenizer
from interlink.shards import ShardWriter
from interlink.storage import Storage

MakeShards = Callable[..., Path]


def without_some(folder: Path, whole: Path) -> tuple[Path, list[list[bytes]]]:
    """Documents of three clips with two frames; of each the first loses its text, of every other the last its frames.

    With the pictures of the clips that have both, in order.
    """
    documents: dict[str, list[tuple[str, bytes]]] = {}
    for shard in sorted(whole.glob("*.tar")):
        with tarfile.open(shard) as tar:
            for member in tar:
                key, _, name = member.name.partition(".")
                file = tar.extractfile(member)
                assert file is not None
                documents.setdefault(key, []).append((name, file.read()))
    pictures = []
    with ShardWriter(Storage(str(folder)), "", lambda number: f"{number:03d}.tar", 60_000) as writer:
        for number, members in enumerate(documents.values()):
            images = sorted(member for member in members if member[0] != "json")
            document = json.loads(dict(members)["json"])
            document["clips"][0]["caption"] = ""
            dropped = {(0, "text")} | ({(2, "frames")} if number % 2 else set())
            document["segments"] = [one for one in document["segments"] if (one["clip"], one["type"]) not in dropped]
            changed = [("json", json.dumps(document).encode()), *images]
            writer.add(f"doc{number}", changed, images=6, clips=3, text_tokens=18)
            for clip in (1,) if number % 2 else (1, 2):
                pictures.append([data for _, data in images[2 * clip : 2 * clip + 2]])
    return folder, pictures


def test_a_clip_is_embedded_with_its_own_text(
    tiny: Callable[..., Recipe], tokenizer: Tokenizer, make_shards: MakeShards, tmp_path: Path
) -> None:
    """Given clips without text or without frames among the others, each vector is that of the clip alone."""
    shards, pictures = without_some(tmp_path / "gaps", make_shards(documents=4))
    recipe = tiny(data__shards=str(shards), data__frames_per_clip=2)
    torch.manual_seed(0)
    model = build_cosmo(recipe, tokenizer).eval()
    device = torch.device("cpu")
    found = embed(model, recipe.data, tokenizer, 100, device)
    assert found.documents == ["doc0", "doc0", "doc1", "doc2", "doc2", "doc3"]
    again = embed(model, recipe.data, tokenizer, 6, device)  # three places a document: the first two
    assert again.documents == ["doc0", "doc0", "doc1"]
    assert again.texts == found.texts[:3]
    assert torch.allclose(again.media, found.media[:3], atol=1e-5)
    assert torch.allclose(again.text, found.text[:3], atol=1e-5)
    for number in range(3):
        shown = frames_of(pictures[number], recipe.data.image)
        times = torch.tensor([[[0.0, 2.0]]])
        media = model.encode_media(shown, torch.ones(1, 1, 2, dtype=torch.bool), times)
        assert torch.allclose(model.media_embedding(media.query)[0], found.media[number], atol=1e-5)
