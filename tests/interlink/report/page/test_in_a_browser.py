"""The report of a build as a person meets it: in Chromium, without a network."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chromium import Watched, chromium, window
from interlink.interleave.settings import InterleaveSettings
from interlink.report.page.explorer import rules_of
from interlink.report.page.make import write
from interlink.report.view.catalogue import Catalogue, update
from interlink.report.view.recount import Names, recount, values_of
from interlink.report.view.tables import Tables
from interlink.runtime.workspace import Workspace
from interlink.storage import Storage

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def report(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(Workspace(Storage(str(root))), tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="module")
def catalogue(root: Path) -> Catalogue:
    return update(Workspace(Storage(str(root))))


def settings_of(root: Path) -> InterleaveSettings:
    workspace = Workspace(Storage(str(root)))
    lock = workspace.lock()
    assert lock is not None
    block = Tables.of(workspace, lock).block("interleave")
    assert block is not None and isinstance(block.settings, InterleaveSettings)
    return block.settings


@pytest.mark.parametrize(("dark", "width"), [(False, 1280), (True, 1280), (False, 390)])
def test_it_opens_without_errors_requests_or_barriers(browser: Any, report: Path, dark: bool, width: int) -> None:
    with window(browser, dark, width) as watched:
        watched.open(report)
        for details in watched.page.query_selector_all("details"):
            details.evaluate("it => { it.open = true; }")
        watched.check()
        pictures = watched.page.locator(".card img")
        assert pictures.count() > 0
        assert pictures.evaluate_all("all => all.every(it => it.naturalWidth > 0)")


def test_the_pages_recount_is_pythons(browser: Any, report: Path, root: Path, catalogue: Catalogue) -> None:
    """For random thresholds, half of them exactly a clip's score."""
    built, names = settings_of(root), Names(catalogue.meta("flags"), catalogue.meta("languages"))
    draw = random.Random(5)
    asked = []
    for _ in range(200):
        limits: dict[str, float | None] = {}
        for rule in rules_of(catalogue):
            values = values_of(catalogue.clips, rule.column)
            values = values[np.isfinite(values)]
            value = float(draw.choice(values)) if draw.random() < 0.5 else draw.uniform(values.min(), values.max())
            value = round(value) if rule.field == "tokens" else value
            limits[rule.field] = value if draw.random() < 0.4 else None
        asked.append(limits)
    with window(browser) as watched:
        watched.open(report)
        answers = watched.page.evaluate("asked => asked.map(window.interlinkRecount)", asked)
    for limits, said in zip(asked, answers, strict=True):
        changes = {
            rule.field: limits[rule.field] if limits[rule.field] is not None else 0 if rule.zero else None
            for rule in rules_of(catalogue)
        }
        tried = built.model_copy(update={"filter": built.filter.model_copy(update=changes)})
        wanted = recount(catalogue.clips, tried, names)
        assert (said["clips"], said["documents"], said["videos"], said["stopped"]) == (
            wanted.clips, wanted.documents, wanted.videos, wanted.stopped,
        )  # fmt: skip
        assert {name: n for name, n in said["losses"].items() if n} == {n: c for n, c in wanted.losses.items() if c}


def counts(watched: Watched) -> tuple[str, ...]:
    return tuple(watched.page.inner_text(f"#now-{what}") for what in ("clips", "documents", "videos"))


def test_a_slider_moves_by_keys_and_the_command_says_so(
    browser: Any, report: Path, root: Path, catalogue: Catalogue
) -> None:
    with window(browser) as watched:
        watched.open(report)
        page, before = watched.page, counts(watched)
        status = catalogue.meta("status")
        assert before[:2] == (f"{status['clips']:,}", f"{status['documents']:,}")
        assert page.inner_text("#command") == f"interlink build --root {root}"
        page.focus("#range-sharpness")
        for _ in range(60):
            page.keyboard.press("ArrowRight")
        assert page.is_checked("#on-sharpness")
        value = page.input_value("#number-sharpness")
        assert page.inner_text("#command").endswith(f" --set filter.sharpness={value}")
        assert counts(watched) != before
        assert "−" in page.inner_text("#change-clips")
        page.fill("#number-tokens", "3.4")
        assert "filter.tokens=3" in page.inner_text("#command")
        page.fill("#number-darkest", "7")  # no brightness: it changes nothing
        assert "darkest" not in page.inner_text("#command")
        page.uncheck("#on-sharpness")
        assert "sharpness" not in page.inner_text("#command")
        page.click("#reset")
        assert counts(watched) == before
        watched.check()


def test_words_find_documents(browser: Any, report: Path) -> None:
    with window(browser) as watched:
        watched.open(report)
        cards = watched.page.locator(".card")
        whole = cards.count()
        watched.page.fill("#find", "POURS the rest")
        assert watched.page.locator(".card:visible").count() == 1 < whole
        assert watched.page.inner_text("#found") == f"1 of {whole} documents"
        watched.check()
