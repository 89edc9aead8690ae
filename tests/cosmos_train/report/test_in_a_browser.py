"""The report of training runs as a person meets it: in Chromium, without a network."""

from __future__ import annotations

import io
import json
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chromium import chromium, window
from cosmos_train.evaluate.stored import Evaluation, Score, store
from cosmos_train.report.page import LIMIT, write

pytestmark = pytest.mark.slow

HOSTILE = "</script><img src=x onerror=alert(1)><b>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


def made_run(folder: Path, seed: int, steps: int, names: int = 0) -> Path:
    """A run as the trainer logs it, of made numbers: every kind of section has something to show."""
    draw = random.Random(seed)
    checkpoint = folder / "checkpoints" / f"step-{steps:08d}"
    checkpoint.mkdir(parents=True)
    (checkpoint / "state.json").write_text("{}")
    recipe = {
        "name": folder.name,
        "model": {"kind": "cosmo"},
        "seed": seed,
        "train": {"steps": steps},
        HOSTILE: HOSTILE,
    }
    (checkpoint / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    with (folder / "metrics.jsonl").open("w") as file:
        for step in range(1, steps + 1):
            loss = 4 * math.exp(-3 * step / steps) + draw.gauss(0.5, 0.05)
            data = draw.uniform(0.02, 0.1)
            line = {
                "step": step, "loss": loss if step != steps // 2 else None, "language": 0.7 * loss,
                "contrastive": 0.3 * loss, "learning_rate": 1e-3 * step / steps, "samples": 64.0 * step,
                "seconds": 0.21 * step, "gradient_norm": draw.gauss(1, 0.1), "samples_per_second": draw.gauss(300, 9),
                "time/data": data, "time/compute": 0.9 - data, "time/other": 0.1, "memory_gigabytes": 12.5,
                "exposure/web/planned": 0.7, "exposure/web/realised": 0.7 + data / 9, "exposure/web/passes": step / 9,
                **{f"number/{n}": draw.random() for n in range(names)}, HOSTILE: data,
                "bottleneck": f"compute-bound {HOSTILE}",
            }  # fmt: skip
            file.write(json.dumps(line) + "\n")
        file.write(json.dumps({"step": steps, "probe/colour": 0.8, "probe/colour_chance": 0.3}) + "\n")
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from PIL import Image

    out = tmp_path_factory.mktemp("runs")
    runs = [made_run(out / name, seed, 400) for seed, name in enumerate(("first", "second<b>", "third"))]
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), "teal").save(picture, "JPEG")
    for run in runs:
        (run / "probe").mkdir()
        (run / "probe" / "a.jpg").write_bytes(picture.getvalue())
        rows = [{"key": "doc", "truth": HOSTILE, "said": f"a cup {HOSTILE}", "picture": "a.jpg"}]
        written = [json.dumps({"step": step, "samples": rows}) for step in range(20, 401, 20)]
        (run / "probe" / "samples.jsonl").write_text("\n".join(written) + "\n")
        for step in (200, 400):
            score = Score("accuracy", 40.0, 2.0, 25.0, unit="%", shots=0, warning=HOSTILE)
            store(Evaluation("vqav2", str(run / "checkpoints" / f"step-{step:08d}"), step, [score]))
    return write(runs, out / "report.html")


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)])
def test_it_opens_without_errors_requests_or_barriers(browser: Any, report: Path, dark: bool, width: int) -> None:
    with window(browser, dark, width) as watched:
        watched.open(report)
        for details in watched.page.query_selector_all("details"):
            details.evaluate("it => { it.open = true; }")
        watched.page.wait_for_timeout(300)
        watched.check()
        assert watched.page.locator(".sample img").evaluate_all("all => all.every(it => it.naturalWidth > 0)")


def test_axis_smoothing_log_and_runs_change_what_is_drawn(browser: Any, report: Path) -> None:
    """Each control draws the charts anew, by mouse or by keys."""
    with window(browser) as watched:
        watched.open(report)
        page, chart = watched.page, watched.page.locator('.panel[data-name="loss"]')
        chart.scroll_into_view_if_needed()

        def picture() -> str:
            page.wait_for_timeout(150)
            drawn: str = chart.locator("canvas").evaluate("it => it.toDataURL()")
            return drawn

        seen = [picture()]
        page.focus("#smoothing")
        for _ in range(8):
            page.keyboard.press("ArrowRight")
        assert page.inner_text("#smoothed") == "0.08"
        seen.append(picture())
        page.check("#log")
        seen.append(picture())
        page.check("input[name=axis][value=seconds]")
        seen.append(picture())
        page.uncheck("input[data-run='1']")
        seen.append(picture())
        assert len(set(seen)) == len(seen)
        page.click("text=Show none")
        page.wait_for_timeout(150)
        assert "No run to show" in chart.inner_text()
        page.click("text=Show all")
        assert page.is_checked("input[data-run='1']")
        page.fill("#search", "gradient")
        assert page.locator(".panel:visible").count() == 1
        page.fill("#search", "nothing like it")
        assert page.is_visible("#none")
        watched.check()


def test_pointing_at_a_curve_reads_its_value(browser: Any, report: Path) -> None:
    with window(browser) as watched:
        watched.open(report)
        watched.page.locator('.panel[data-name="learning_rate"]').scroll_into_view_if_needed()
        chart = watched.page.locator('.panel[data-name="learning_rate"] .u-over')
        watched.page.wait_for_timeout(300)
        box = chart.bounding_box()
        watched.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        watched.page.wait_for_timeout(150)
        said = watched.page.inner_text("#tip")
        assert "second<b>" in said
        step = int(said.split()[1])
        assert 150 < step < 250
        assert f"{1e-3 * step / 400:.3e}"[:3] in said


def test_twenty_runs_of_fifty_thousand_steps(browser: Any, tmp_path: Path) -> None:
    """15 MB, and open within a second: the first run is written, the others are its copies."""
    first = made_run(tmp_path / "run0", 0, 50_000, names=12)
    runs = [first]
    for number in range(1, 20):
        (tmp_path / f"run{number}").symlink_to(first)
        runs.append(tmp_path / f"run{number}")
    began = time.monotonic()
    out = write(runs, tmp_path / "report.html")
    print(f"written in {time.monotonic() - began:.1f} s, {out.stat().st_size / 1e6:.2f} MB")
    assert out.stat().st_size <= LIMIT
    paints = []
    for _ in range(3):
        with window(browser) as watched:
            watched.open(out)
            watched.page.locator("#curves").scroll_into_view_if_needed()
            watched.page.wait_for_selector("canvas", timeout=2000)
            paints.append(watched.page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            assert watched.errors == []
    print(f"first paint after {paints} ms")
    assert min(paints) < 1000
