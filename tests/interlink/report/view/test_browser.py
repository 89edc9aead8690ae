"""The viewer in headless Chromium: every screen in light, dark and on a phone, keys, sliders, marks, hostile builds.

Skipped where there is no Chromium, unless INTERLINK_CHROMIUM says that there must be one (`.ci/run` sets it where it
could install it).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from interlink.api import Build

pytestmark = pytest.mark.slow
MODES = {
    "light": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1440, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light"},
}


def chromium() -> str:
    named = os.environ.get("INTERLINK_CHROMIUM", "")
    found = named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    if not found:
        pytest.skip("there is no Chromium on this machine: apt-get install chromium")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if os.environ.get("INTERLINK_CHROMIUM"):
        from playwright.sync_api import sync_playwright
    else:
        sync_playwright = pytest.importorskip(
            "playwright.sync_api", reason="playwright is not installed"
        ).sync_playwright
    path = chromium()
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def other(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same build with documents of at most two clips."""
    folder = tmp_path_factory.mktemp("other") / "other"
    shutil.copytree(root, folder, ignore=shutil.ignore_patterns("view"))
    Build(None, folder, ["interleave.clips_per_document=2"]).run()
    return folder


@pytest.fixture(scope="module")
def address(root: Path, other: Path) -> Iterator[str]:
    """The address that `interlink view` prints, once both catalogues are made."""
    command = [sys.executable, "-m", "interlink", "view", str(root), str(other), "--no-open", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.wait(10)


class Watched:
    """A page whose errors, dialogs and foreign requests are gathered."""

    def __init__(self, context: Any, address: str) -> None:
        self.base = address.split("/?")[0]
        self.page = context.new_page()
        self.faults: list[str] = []
        self.page.on("console", lambda m: self.faults.append(m.text) if m.type in ("error", "warning") else None)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on(
            "request",
            lambda r: None if r.url.startswith((self.base, "blob:")) else self.faults.append(f"foreign {r.url}"),
        )
        self.page.goto(address)
        self.page.wait_for_selector(".tiles")

    def open(self, path: str) -> Any:
        self.page.goto(self.base + path)
        return self.page

    def check(self, what: str) -> None:
        """No fault so far, nothing wider than the window, no violation that axe-core finds."""
        from axe_playwright_python.sync_playwright import Axe

        assert self.faults == [], what
        wide, window = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide <= window, f"{what}: {wide} pixels in a window of {window}"
        found = Axe().run(self.page)
        assert found.violations_count == 0, f"{what}: {found.generate_report()}"


@pytest.fixture
def watched(browser: Any, address: str) -> Iterator[Watched]:
    context = browser.new_context(**MODES["light"])
    yield Watched(context, address)
    context.close()


def screens(root: Path) -> dict[str, str]:
    documents = {document["id"]: document for document in Build(None, root).documents()}
    hostile = next(key for key, d in documents.items() if d["source"]["path"].startswith("<img"))
    broken = next(trouble.id for trouble in Build(None, root).troubles() if trouble.outcome == "failed")
    return {
        "overview": "/root/",
        "documents": "/root/documents?sort=sharpness&tokens_min=1",
        "document": f"/root/document/{hostile}",
        "as the model reads": f"/root/document/{hostile}?as=model&max_tokens=24",
        "json": f"/root/document/{hostile}?as=json",
        "videos": "/root/items",
        "a video": f"/root/item/{hostile}",
        "a broken video": f"/root/item/{broken}",
        "thresholds": "/root/explore?sharpness=500",
        "alike": f"/root/similar/{hostile}/0/0",
        "compare": "/compare",
        "marks": "/root/marks",
        "nothing": "/root/documents?q=nothingsaysthis",
    }


@pytest.mark.parametrize("mode", MODES)
def test_every_screen_is_clean(browser: Any, address: str, root: Path, mode: str) -> None:
    context = browser.new_context(**MODES[mode])
    watched = Watched(context, address)
    for name, path in screens(root).items():
        watched.open(path)
        watched.check(f"{name}, {mode}")
    context.close()


def test_keys_lead_through_the_screens(watched: Watched) -> None:
    page = watched.page
    page.keyboard.press("g")
    page.keyboard.press("d")
    page.wait_for_url("**/documents")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/document/**")
    second = page.url
    page.keyboard.press("k")
    page.wait_for_function(f"location.href !== {second!r}")
    page.keyboard.press("j")
    page.wait_for_url(second)
    page.wait_for_function("document.querySelector('video').readyState > 1")
    page.keyboard.press(" ")
    page.wait_for_function("!document.querySelector('video').paused")
    page.keyboard.press(" ")
    page.wait_for_function("document.querySelector('video').paused")
    page.keyboard.press("?")
    assert page.locator("dialog").is_visible()
    page.keyboard.press("Escape")
    for key, path in {"v": "items", "t": "explore", "m": "marks", "o": ""}.items():
        page.keyboard.press("g")
        page.keyboard.press(key)
        page.wait_for_url(f"**/root/{path}")
    page.keyboard.press("/")
    page.keyboard.type("the")
    page.keyboard.press("Enter")
    page.wait_for_url("**/documents?q=the")
    page.go_back()
    page.wait_for_url("**/root/")
    watched.check("after the keys")


def test_a_mark_on_the_time_line_seeks_the_video(watched: Watched, root: Path) -> None:
    key = next(Build(None, root).documents())["id"]
    page = watched.open(f"/root/document/{key}")
    page.wait_for_function("document.querySelector('video').readyState > 1")
    last = page.locator("#timeline rect.clip").last
    last.click()
    wanted = float(last.get_attribute("data-time"))
    page.wait_for_function(f"Math.abs(document.querySelector('video').currentTime - {wanted}) < 0.1")
    page.locator("figure button").first.click()
    page.wait_for_function(f"document.querySelector('video').currentTime < {wanted}")


def test_a_slider_counts_by_arrow_keys_and_the_address_keeps_its_state(watched: Watched) -> None:
    page = watched.open("/root/explore")
    before = page.locator("#counts .tiles b").first.inner_text()
    page.locator("[data-rule=sharpness] input[type=range]").focus()
    for _ in range(60):
        page.keyboard.press("ArrowRight")
    page.wait_for_function(f"document.querySelector('#counts .tiles b').textContent !== {before!r}")
    page.wait_for_function("document.querySelector('#command').textContent.includes('--set filter.sharpness=')")
    assert page.locator("#counts .edge img").count() > 0
    address = page.url
    assert "sharpness=" in address
    counted = page.locator("#counts .tiles b").first.inner_text()
    page.goto(address)
    assert page.locator("#counts .tiles b").first.inner_text() == counted
    page.locator("[data-rule=sharpness] [data-on]").uncheck()
    page.wait_for_function(f"document.querySelector('#counts .tiles b').textContent === {before!r}")
    watched.check("after the slider")


def test_a_bar_filters_and_the_back_button_returns(watched: Watched) -> None:
    page = watched.page
    page.locator('svg.histogram a[href*="tokens_min"]').first.click()
    page.wait_for_url("**/documents?tokens_min=*")
    assert page.locator(".active .chip").count() >= 1
    page.locator(".active .chip").first.click()
    page.go_back()
    page.wait_for_url("**/documents?tokens_min=*")
    page.go_back()
    page.wait_for_url("**/root/")


def test_marks_stay_and_are_exported_as_ids(watched: Watched, root: Path) -> None:
    key = next(Build(None, root).documents())["id"]
    page = watched.open(f"/root/document/{key}")
    page.keyboard.press("m")
    page.locator("summary", has_text="clips of the video").click()
    page.locator('[data-clip="1"]').click()
    page.reload()
    assert page.locator("#marked").inner_text() == "2"
    watched.open("/root/marks")
    with page.expect_download() as download:
        page.click("#export")
    assert Path(download.value.path()).read_text() == f"{key}\n{key}\t1\n"
    assert download.value.suggested_filename == "ids.txt"
    page.click("#clear")
    assert page.locator("#nothing").is_visible()


def test_a_token_shows_which_frames_it_may_attend_to(watched: Watched, root: Path) -> None:
    key = next(Build(None, root).documents())["id"]
    page = watched.open(f"/root/document/{key}?as=model&max_tokens=20")
    page.locator("#tokens .text").first.hover()
    assert page.locator("#tokens .visual.seen").count() == 1
    assert page.locator("#tokens .cut").count() > 0


def test_hostile_names_stay_text(watched: Watched, root: Path) -> None:
    page = watched.open("/root/documents")
    titles = page.locator(".card h2").all_inner_texts()
    assert any(title.startswith("<img src=x onerror=alert(1)>") for title in titles)
    page.get_by_role("link", name=re.compile("<img src=x")).click()
    page.wait_for_url("**/document/**")
    assert "<script>alert(document.domain)</script> pours {{ 7 * 7 }}" in page.locator("main").inner_text()
    page.wait_for_function("document.querySelector('video').readyState > 1")
    assert "<" not in unquote(page.locator("video").get_attribute("src"))
    assert watched.faults == []
