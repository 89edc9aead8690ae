"""Draws the pictures of docs/how-to/look-at-a-build.md: two builds of the sample world in headless Chromium.

interlink sample clips --videos 28 --seed 5
interlink build sample --set source.path=clips --set 'stages=[download,transcribe,keyframes,caption,score,sketch,select,interleave,shard]' --root demo
cp -r demo sharper; interlink build --root sharper --set filter.sharpness=600 --set interleave.clips_per_document=3
interlink view demo sharper --no-open
python docs/figures/view.py ADDRESS
"""  # noqa: E501

from __future__ import annotations

import io
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

FOLDER = Path(__file__).with_name("view")
WIDE, PHONE = (1280, 800), (390, 780)
SCREENS = {  # name -> (path, size, colours); {key}: of the first document
    "overview": ("/demo/", WIDE, "light"),
    "documents": ("/demo/documents", WIDE, "light"),
    "document": ("/demo/document/{key}", WIDE, "light"),
    "as-the-model-reads": ("/demo/document/{key}?as=model&max_tokens=24", WIDE, "light"),
    "videos": ("/demo/items", WIDE, "light"),
    "video": ("/demo/item/{dropped}", WIDE, "light"),
    "thresholds": ("/demo/explore?sharpness=500", WIDE, "dark"),
    "alike": ("/demo/similar/{key}/0/0", WIDE, "light"),
    "compare": ("/compare", WIDE, "light"),
    "phone": ("/demo/documents", PHONE, "light"),
}


def main(address: str) -> None:
    base = address.partition("/?")[0]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for name, (path, (width, height), colours) in SCREENS.items():
            context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=colours)
            page = context.new_page()
            page.goto(address)
            page.goto(f"{base}/demo/documents")
            key = (page.locator(".card h2 a").first.get_attribute("href") or "").rpartition("/")[2]
            page.goto(f"{base}/demo/items?outcome=dropped&stopped=interleave")
            dropped = (page.locator("tr[data-card] a").first.get_attribute("href") or "").rpartition("/")[2]
            page.goto(base + path.format(key=key, dropped=dropped))
            page.wait_for_load_state("networkidle")
            picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            picture.quantize(128, dither=Image.Dither.NONE).save(FOLDER / f"{name}.png", optimize=True)
            context.close()


if __name__ == "__main__":
    main(sys.argv[1])
