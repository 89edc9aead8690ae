"""The paper's pipeline as a recipe: it is whole, and with tiny engines it builds the sample world to documents."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from caption_server import CaptionServer
from interlink.api import Build
from interlink.cli import app
from interlink.recipe import BUNDLED, Recipe
from interlink.sample import SampleOptions, render

RECIPE = BUNDLED / "howto_interlink.yaml"
REGIONS = "a red pan<loc_100><loc_200><loc_500><loc_900>"


def test_every_choice_says_whose_it_is() -> None:
    recipe = Recipe.load(RECIPE)
    assert {block.name for block in recipe.blocks} >= {"caption", "narrate", "score", "select", "interleave", "shard"}
    needs = {block.name: block.needs for block in recipe.blocks}
    assert {"narrate", "score", "select"} <= set(needs["interleave"])
    assert "narrate" in needs["score"]
    text = RECIPE.read_text()
    for word in ("paper", "VLog", "card", "ours"):
        assert len(re.findall(rf"# {word}\b", text)) >= 2 or word in ("card", "VLog"), word


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    from tiny_checkpoints import save_blip2, save_clip, save_florence2

    folder = tmp_path_factory.mktemp("engines")
    name, weights = save_clip(folder / "clip")
    return [
        f"caption.transformers.model={save_blip2(folder / 'blip2')}",
        "caption.transformers.max_new_tokens=6",
        f"regions.florence2.model={save_florence2(folder / 'florence', regions=REGIONS)}",
        "regions.florence2.num_beams=1",
        f"score.open_clip.model={name}",
        f"score.open_clip.pretrained={weights}",
        "score.open_clip.device=cpu",
        "filter.similarity=-1",  # random models agree with nothing
        "narrate.checks.names=false",
    ]


def test_with_tiny_engines_it_builds_the_sample_world(
    sample_clips: Path, tmp_path: Path, engines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    with CaptionServer() as server:
        asked: list[str] = []

        def write(prompt: str) -> str:
            asked.append(prompt)
            return f"The video goes on with a hand that works on step {len(prompt)} of the dish."

        server.write = write
        sets = [
            "source.kind=folder",
            f"source.path={sample_clips}",
            "executor.kind=inline",
            "transcribe.recogniser=none",
            "keyframes.segmenter=fixed",  # ten seconds of video give KTS no eight clips
            "keyframes.length=1.25",
            "filter.darkest=null",  # where a second of video holds no picture to measure
            "keyframes.min_clip=0.5",
            f"narrate.openai.base_url={server.url}",
            *engines,
        ]
        build = Build(RECIPE, tmp_path / "root", sets)
        status = build.run().status
    assert status.documents >= 6 and 6 <= status.clips / status.documents <= 8
    assert all(stage.failed == stage.pending == 0 for stage in status.stages.values())
    for document in build.documents():
        told = [segment for segment in document["segments"] if segment["type"] == "text"]
        assert {segment["role"] for segment in told} == {"narration"}
        assert all("scores" in clip and clip["speech"] is not None for clip in document["clips"])
        assert set(document["provenance"]["prompts"]) == {"narrate", "regions"}
        assert set(document["provenance"]["models"]) == {"caption", "narrate", "regions", "score"}
        for clip in document["clips"]:
            assert [(r["text"], r["box"]) for r in clip["regions"]] == [("a red pan", [0.1005, 0.2005, 0.5005, 0.9005])]
            assert clip["start"] <= clip["regions"][0]["time"] <= clip["end"]
    assert all("Parts: a red pan [10 20 50 90]" in prompt for prompt in asked)

    shown = CliRunner().invoke(app, ["status", str(tmp_path / "root")]).output
    shown = " ".join(shown.split())  # a terminal wraps
    assert re.search(r"\([678]\.\d clips a document, 1[0-9]\.\d tokens a clip\)", shown), shown
    again = Build(None, tmp_path / "root", ["filter.tokens=100"])
    left = again.run(stages=["interleave", "shard"]).status.stages["interleave"]
    assert left.reasons == {"few_tokens": 6}
    assert left.lost["clips few_tokens"] == status.clips + status.stages["interleave"].lost.total()


@pytest.mark.slow
def test_with_its_own_sampling_it_cuts_long_videos_into_documents_of_six_to_eight_clips(tmp_path: Path) -> None:
    # given videos of 12 to 16 steps, and the recipe as its head says it goes without any model
    options = SampleOptions(width=160, height=128, fps=4, long=1.0, long_steps=(12, 16), step_seconds=(10.0, 13.0))
    render(tmp_path / "clips", 2, 7, options=options, processes=1)
    truth = json.loads((tmp_path / "clips" / "truth.json").read_text())
    steps = [len(video["steps"]) for video in truth["videos"].values()]
    head = " ".join(line.removeprefix("# ") for line in RECIPE.read_text().splitlines()[:20])
    without = [word.strip('"') for word in re.findall(r"--set (\"[^\"]+\"|\S+)", head.partition("any model")[0])]
    without = [word for word in without if not word.startswith("source.")]
    assert len(without) == 7
    sets = ["source.kind=folder", f"source.path={tmp_path / 'clips'}", "executor.kind=inline", *without]

    status = Build(RECIPE, tmp_path / "root", sets).run().status

    # then every step is about a clip, and `status` prints what the paper's documents have
    assert abs(status.clips - sum(steps)) <= len(steps)
    assert status.documents == sum(-(-count // 8) for count in steps)
    shown = " ".join(CliRunner().invoke(app, ["status", str(tmp_path / "root")]).output.split())
    assert re.search(r"\((6\.\d|7\.\d|8\.0) clips a document, \d+\.\d tokens a clip\)", shown), shown
