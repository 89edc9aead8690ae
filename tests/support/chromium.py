"""Pages in a headless Chromium: opened, watched for errors and requests, judged by axe."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Watched:
    """errors: of the console and of scripts. requests: that a file alone would not make. dialogs: opened by scripts."""

    page: Any
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        self.page.goto(path.resolve().as_uri())
        self.page.wait_for_timeout(300)

    def overflow(self) -> int:
        """Pixels by which the page is wider than the window."""
        found: int = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return found

    def violations(self) -> list[str]:
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found]

    def check(self) -> None:
        for what, found in (
            ("errors", self.errors), ("requests", self.requests), ("dialogs", self.dialogs),
            ("axe's violations", self.violations()),
        ):  # fmt: skip
            assert found == [], f"{what}: {found}"
        assert self.overflow() <= 0, f"{self.overflow()} pixels too wide"


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser. Skips the test where Chromium or playwright is absent, unless .ci/run has named one: then it fails."""
    named = os.environ.get("INTERLINK_CHROMIUM", "")
    path = named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")
    if not path:
        pytest.skip("there is no Chromium on this machine; .ci/run installs it")
    if named:
        import playwright.sync_api as playwright
    else:
        playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def window(browser: Any, dark: bool = False, width: int = 1280) -> Iterator[Watched]:
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", offline=True
    )
    watched = Watched(context.new_page())
    page = watched.page
    page.on("console", lambda said: watched.errors.append(said.text) if said.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: watched.errors.append(str(error)))
    page.on("dialog", lambda dialog: (watched.dialogs.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda one: None if one.url.startswith(("file:", "data:")) else watched.requests.append(one.url))
    try:
        yield watched
    finally:
        context.close()
