"""The vllm engine: what it asks of vLLM, against a stand-in with its documented interface. vLLM itself is not run."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from interlink.engines.captioner import ClipCaption, ClipRequest, Identity
from interlink.engines.openai import PROMPT
from interlink.engines.settings import VllmCaptionSettings, VllmSettings
from interlink.engines.vllm import Vllm, VllmWriter
from interlink.engines.writer import WriteRequest
from interlink.errors import UserError
from interlink.narrate.settings import NarrateSettings
from interlink.stages.caption import Caption, CaptionSettings
from interlink.stages.narrate import Narrate
from telling import jpeg

STANDIN = Path(__file__).parents[2] / "support" / "vllm_standin" / "vllm.py"
absent = pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM itself is here")


@pytest.fixture
def standin(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("vllm", STANDIN)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "vllm", module)
    spec.loader.exec_module(module)
    yield module


def request(number: int, frames: list[bytes], **told: str) -> ClipRequest:
    return ClipRequest("film", number, tuple(frames), tuple(map(float, range(len(frames)))), 0, 10, **told)


def digits(frame: bytes) -> str:
    return hashlib.sha256(frame).hexdigest()[:6]


def opened(prompt: str = "", **options: Any) -> tuple[Vllm, Identity]:
    engine = Vllm(VllmCaptionSettings(model="some/model", **options), prompt)
    return engine, engine.open()


def told(engine: Vllm, requests: list[ClipRequest]) -> list[ClipCaption]:
    return sorted(engine.caption(requests), key=lambda answer: answer.clip)


def test_a_clip_is_a_message_of_its_frames_and_the_prompt(standin: Any) -> None:
    engine, identity = opened(max_frames=2, seed=7, revision="v1", gpus=2)
    frames = [jpeg(n) for n in range(4)]
    answers = told(engine, [request(0, frames), request(1, frames[:1]), request(2, [])])

    assert answers[0].caption == f"{digits(frames[1])} {digits(frames[3])} {PROMPT}"
    assert answers[1].caption == f"{digits(frames[0])} {PROMPT}"
    assert (answers[2].caption, answers[2].flag) == ("", "no_frames")
    assert answers[0].tokens == len(answers[0].caption.split())
    [llm] = standin.made
    assert llm.made == {"model": "some/model", "revision": "v1", "tensor_parallel_size": 2, "seed": 7}
    assert (identity.engine, identity.model, identity.revision, identity.prompt) == (
        "vllm", "some/model", "c0ffee", PROMPT,
    )  # fmt: skip
    assert identity.parameters["seed"] == 7 and "gpus" not in identity.parameters


def test_requests_go_in_large_windows_with_their_seed(standin: Any) -> None:
    engine, _ = opened("{title}: {speech} {ocr}", batch_size=3, seed=5, temperature=0.5, max_tokens=4)
    answers = told(engine, [request(n, [jpeg(n)], title="T", speech=f"s{n}", ocr="o o o") for n in range(7)])

    assert [(how, many) for how, many, _ in standin.made[0].calls] == [("chat", 3), ("chat", 3), ("chat", 1)]
    assert standin.made[0].calls[0][2] == standin.SamplingParams(temperature=0.5, max_tokens=4, seed=5)
    assert [answer.caption for answer in answers] == [f"{digits(jpeg(n))} T: s{n} o" for n in range(7)]
    assert {answer.flag for answer in answers} == {"length"}


def test_a_model_without_conversations_gets_its_prompt_and_a_picture(standin: Any) -> None:
    engine, _ = opened("Question: what? Answer:", chat=False)
    [answer] = told(engine, [request(0, [jpeg(0, 48, 32)] * 3)])
    assert answer.caption == "(48, 32) Question: what? Answer:"
    assert standin.made[0].calls[0][0] == "generate"


def test_one_refused_clip_costs_no_other(standin: Any) -> None:
    engine, _ = opened("{speech}", batch_size=4)
    answers = told(
        engine, [request(n, [jpeg(n)], speech=s) for n, s in enumerate(["a", "too long", "say nothing", "b"])]
    )
    assert [bool(answer.caption) for answer in answers] == [True, False, False, True]
    assert answers[1].error is not None and answers[1].error.error_class == "model"
    assert answers[2].flag == "empty" and answers[2].error is None


def test_it_writes_for_narrate(standin: Any) -> None:
    writer = VllmWriter(VllmSettings(model="some/model", batch_size=2))
    identity = writer.open()
    written = list(writer.write(iter([WriteRequest("v", 0, "rules", "tell"), WriteRequest("w", 0, "", "tell")])))
    assert [(one.id, one.text) for one in written] == [("v", "rules tell"), ("w", "tell")]
    assert writer.parallel(writer.settings) == 2 and identity.engine == "vllm"


def test_stages_ask_for_its_gpus() -> None:
    caption = CaptionSettings.model_validate({"engine": "vllm", "vllm": {"gpus": 4}})
    assert Caption.resources(caption).gpus == 4 and Caption.costly(caption)
    narrate = NarrateSettings.model_validate({"engine": "vllm", "vllm": {"gpus": 2, "batch_size": 64}})
    assert Narrate.resources(narrate).gpus == 2 and Narrate.together(narrate) == 64


@absent
def test_without_the_package_it_says_what_to_install() -> None:
    with pytest.raises(UserError, match="needs a package") as caught:
        opened()
    assert "interlink[vllm]" in caught.value.do


def test_a_model_that_does_not_load_says_why_in_a_line(standin: Any) -> None:
    with pytest.raises(UserError, match=r"vLLM cannot load 'some/missing': some/missing is not known\n") as caught:
        Vllm(VllmCaptionSettings(model="some/missing"), "").open()
    assert "caption.vllm" in caught.value.do and "more of it" not in str(caught.value)
    with pytest.raises(UserError, match="has no model"):
        Vllm(VllmCaptionSettings(), "").open()
