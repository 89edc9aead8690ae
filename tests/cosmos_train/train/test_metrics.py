"""What a run reports: lines, JSON, TensorBoard, a verdict that names the bottleneck, a profile when asked."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console

from cosmos_train.errors import UserError
from cosmos_train.recipe import Recipe
from cosmos_train.stream.stream import Stream
from cosmos_train.train.metrics import Metrics, peak_flops, verdict
from cosmos_train.train.trainer import train

Tiny = Callable[..., Recipe]
QUIET = Console(quiet=True)


def lines(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def test_every_line_holds_rates_shares_and_a_verdict(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(train__steps=4, train__log_every=2, train__peak_tflops=0.05), tmp_path / "run", console=QUIET)
    found = lines(tmp_path / "run")
    assert [line["step"] for line in found] == [2, 4]
    last = found[-1]
    for name in (
        "loss", "language", "contrastive", "learning_rate", "gradient_norm", "samples_per_second", "tokens_per_second",
        "frames_per_second", "data_wait_share", "memory_gigabytes", "mfu", "mfu_padded", "epoch", "seconds_left",
    ):  # fmt: skip
        assert isinstance(last[name], float), name
    shares = [value for name, value in last.items() if name.startswith("time/")]
    assert sum(shares) == pytest.approx(1.0, abs=1e-6)  # type: ignore[arg-type]
    assert 0 < last["mfu"] <= last["mfu_padded"] < 1  # type: ignore[operator]
    assert "-bound" in str(last["bottleneck"])
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss")] == [2, 4]
    assert events.Scalars("loss")[-1].value == pytest.approx(last["loss"])


def test_a_slow_stream_is_seen_as_what_binds(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    read = Stream.next
    monkeypatch.setattr(Stream, "next", lambda stream: (time.sleep(0.3), read(stream))[1])
    train(tiny(train__steps=4, train__log_every=4), tmp_path / "run", console=QUIET)
    [line] = lines(tmp_path / "run")
    assert line["data_wait_share"] > 0.2  # type: ignore[operator]
    assert str(line["bottleneck"]).startswith("data-bound: ")


@pytest.mark.parametrize(
    ("own", "slowest", "said"),
    [
        ({"data": 0.01}, {"data": 0.01}, "compute-bound at 41% of the device's peak"),
        ({"data": 0.40}, {"data": 0.41}, "data-bound: 41% of the time is waiting for batches; try data.workers=4"),
        ({"data": 0.01}, {"data": 0.50}, "data-bound on some ranks"),
        ({"save": 0.20}, {"save": 0.20}, "save-bound: 20%"),
        ({"other": 0.30}, {"other": 0.30}, "loop-bound: 30%"),
    ],
)  # fmt: skip
def test_the_verdict_names_what_binds_and_what_to_do(
    own: dict[str, float], slowest: dict[str, float], said: str
) -> None:
    none = dict.fromkeys(("data", "compute", "optimiser", "save", "other"), 0.0)
    assert verdict({**none, **own}, {**none, **slowest}, 2, 0.41).startswith(said)


def test_a_profile_of_three_steps_is_written_when_asked_for(tiny: Tiny, tmp_path: Path) -> None:
    train(tiny(train__steps=6, train__profile_at=3), tmp_path / "run", console=QUIET)
    [trace] = (tmp_path / "run" / "profile").iterdir()
    assert trace.name == "rank-0-step-3.json"
    names = {event.get("name") for event in json.loads(trace.read_text())["traceEvents"]}
    assert "aten::linear" in names
    train(tiny(train__steps=2), tmp_path / "plain", console=QUIET)
    assert not (tmp_path / "plain" / "profile").exists()


def test_only_the_first_rank_writes(tiny: Tiny, tmp_path: Path) -> None:
    said = io.StringIO()
    with Metrics(tmp_path / "run", 0, tiny().train, "test", Console(file=said), writes=False) as metrics:
        metrics.say("hello")
        metrics.advance(1)
        metrics.log(1, {}, (), "")
    assert said.getvalue() == ""
    assert not (tmp_path / "run").exists()


def test_wandb_that_is_not_installed_is_said(tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match="wandb is not installed"):
        train(tiny(train__steps=1, train__wandb="project"), tmp_path / "run", console=QUIET)


def test_the_peak_of_a_device_that_is_not_known_is_asked_for(tiny: Tiny) -> None:
    assert peak_flops(tiny().train, torch.device("cpu")) == 0
    assert peak_flops(tiny(train__peak_tflops=2).train, torch.device("cpu")) == 2e12
