"""The transformers engine, on real tiny checkpoints of both kinds."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from interlink.engines.captioner import ClipCaption, ClipRequest, Identity
from interlink.engines.settings import TransformersSettings
from interlink.engines.transformers import CHAT_PROMPT, Transformers
from interlink.errors import UserError
from telling import jpeg


def request(number: int, frames: Sequence[bytes], **told: str) -> ClipRequest:
    times = tuple(float(n) for n in range(len(frames)))
    return ClipRequest("film", number, tuple(frames), times, 0, 10, **told)


def opened(model: Path, prompt: str = "", **options: Any) -> tuple[Transformers, Identity]:
    engine = Transformers(TransformersSettings(model=str(model), max_new_tokens=6, **options), prompt)
    return engine, engine.open()


def captions(answers: Sequence[ClipCaption]) -> dict[int, str]:
    assert [answer.error for answer in answers if answer.error] == []
    return {answer.clip: answer.caption for answer in answers}


def test_a_blip2_tells_the_middle_frame(blip2: Path) -> None:
    engine, _ = opened(blip2)
    one, two, three = jpeg(1), jpeg(2), jpeg(3)

    told = captions(list(engine.caption([request(0, [one, two, three]), request(1, [two]), request(2, [one])])))

    assert told[0] == told[1] != ""
    assert told[0] != told[2]


@pytest.fixture(scope="module", params=["Qwen2.5-VL", "Qwen3-VL"])
def chat(request: pytest.FixtureRequest, qwen: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tiny_checkpoints import save_qwen3

    return qwen if request.param == "Qwen2.5-VL" else save_qwen3(tmp_path_factory.mktemp("models") / "tiny-qwen3")


def test_a_chat_model_sees_several_frames_and_the_prompt(chat: Path) -> None:
    qwen = chat
    engine, identity = opened(qwen, max_frames=2)
    one, others = jpeg(1), [jpeg(n) for n in range(2, 10)]

    pairs = captions(list(engine.caption(request(n, [one, other]) for n, other in enumerate(others))))
    again = captions(list(engine.caption([request(0, [one, others[0]]), request(1, [one])])))

    assert again[0] == pairs[0] != ""
    assert len(set(pairs.values())) > 1  # the second frame is looked at
    assert identity.prompt == CHAT_PROMPT and identity.prompt_hash
    asked, _ = opened(qwen, prompt="What about {title}? {speech}", max_frames=2)
    inputs = asked._inputs([request(0, [one], title="soup", speech="stir")])
    assert asked._open is not None
    assert "What about soup? stir" in asked._open.reader.batch_decode(inputs["input_ids"])[0]


def test_tokens_are_counted_and_a_caption_that_was_cut_off_says_so(blip2: Path) -> None:
    engine, _ = opened(blip2)
    [answer] = engine.caption([request(0, [jpeg(1)])])
    assert (answer.tokens, answer.flag) == (6, "length")


@pytest.mark.parametrize(
    ("options", "package"), [({"attention": "eager"}, "torch"), ({"device": "spread"}, "accelerate")]
)
def test_attention_and_devices_are_a_matter_of_speed(blip2: Path, options: dict[str, Any], package: str) -> None:
    pytest.importorskip(package, reason=f"{package} (the extra `models`) is not installed")
    requests = [request(n, [jpeg(n)]) for n in range(2)]
    plain, identity = opened(blip2)
    other, same = opened(blip2, **options)
    assert same == identity
    assert captions(list(other.caption(requests))) == captions(list(plain.caption(requests)))


@pytest.mark.parametrize("prompt", ["", "a picture of {title}"])
def test_captions_do_not_depend_on_the_batch(blip2: Path, prompt: str) -> None:
    requests = [request(n, [jpeg(n)], title="pot" * (n % 3)) for n in range(7)]

    alone = captions(list(opened(blip2, prompt, batch_size=1)[0].caption(requests)))
    together = captions(list(opened(blip2, prompt, batch_size=3)[0].caption(iter(requests))))

    assert alone == together
    assert not any("picture" in caption for caption in together.values())  # the prompt is not handed back


@pytest.mark.parametrize("ahead", [0, 1])
def test_no_more_is_read_than_a_batch_and_those_being_prepared(blip2: Path, ahead: int) -> None:
    engine, _ = opened(blip2, batch_size=2, ahead=ahead)
    read = []

    def source() -> Any:
        for n in range(6):
            read.append(n)
            yield request(n, [jpeg(n)])

    answers = engine.caption(source())
    next(answers)
    assert read == list(range(2 + 2 * ahead))
    assert len(list(answers)) == 5


def test_a_clip_without_frames_is_flagged_and_a_broken_frame_fails_alone(blip2: Path) -> None:
    engine, _ = opened(blip2, batch_size=4)

    answers = list(
        engine.caption([request(0, [jpeg(0)]), request(1, []), request(2, [b"no jpeg"]), request(3, [jpeg(3)])])
    )

    by_clip = {answer.clip: answer for answer in answers}
    assert by_clip[0].caption and by_clip[3].caption
    assert by_clip[1].flag == "no_frames" and by_clip[1].error is None
    assert by_clip[2].error is not None and by_clip[2].error.error_class == "unreadable"


def test_out_of_memory_halves_the_batch_and_goes_on(blip2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    engine, _ = opened(blip2, batch_size=8)
    assert engine._open is not None
    generate, sizes = engine._open.model.generate, []

    def small_card(**inputs: Any) -> Any:
        sizes.append(len(inputs["pixel_values"]))
        if sizes[-1] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return generate(**inputs)

    monkeypatch.setattr(engine._open.model, "generate", small_card)
    answers = list(engine.caption(request(n, [jpeg(n)]) for n in range(10)))

    assert sorted(captions(answers)) == list(range(10))
    assert sizes == [8, 4, 2, 2, 2, 2, 2]
    assert engine.batch_size == 2


def test_a_clip_that_never_fits_is_a_memory_failure(blip2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, _ = opened(blip2, batch_size=2)

    def no_memory(**inputs: Any) -> Any:
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    assert engine._open is not None
    monkeypatch.setattr(engine._open.model, "generate", no_memory)

    answers = list(engine.caption(request(n, [jpeg(n)]) for n in range(2)))

    assert [answer.error and answer.error.error_class for answer in answers] == ["memory", "memory"]


def test_who_spoke_is_told_without_a_path(blip2: Path, tmp_path: Path) -> None:
    _, identity = opened(blip2, num_beams=2)
    moved = shutil.copytree(blip2, tmp_path / "elsewhere" / "tiny-blip2")
    _, again = opened(moved, num_beams=2)

    assert identity == again
    assert identity.model == "tiny-blip2"
    assert identity.revision.startswith("folder-")
    assert identity.parameters == {"dtype": "float32", "max_frames": 1, "max_new_tokens": 6, "num_beams": 2}

    config = moved / "generation_config.json"
    config.write_text(config.read_text() + " ")
    assert opened(moved)[1].revision != identity.revision


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("", "has no model"),
        ("/no/such/folder", "the model folder /no/such/folder does not exist"),
        ("./models/none", "the model folder ./models/none does not exist"),
        ("some/hub-id-that-is-not-here", "cannot load the model 'some/hub-id-that-is-not-here'"),
    ],
)
def test_a_model_that_is_not_there_says_what_to_do(model: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        Transformers(TransformersSettings(model=model), "").open()
    assert "caption.transformers.model" in caught.value.do


def test_a_folder_that_holds_no_captioner_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "opt"}')

    with pytest.raises(UserError, match="cannot load the model"):
        Transformers(TransformersSettings(model=str(tmp_path)), "").open()
