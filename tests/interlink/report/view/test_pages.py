"""The pages of the viewer over HTTP: what they show, whom they answer, and what a wrong address gets."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape, unescape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from asking import Answer, ask
from interlink.api import Build
from interlink.report.view.app import application
from interlink.report.view.site import Site, open_site

from .conftest import CUE, HOSTILE

TOKEN = "a-token-of-the-tests"
COOKIE = {"cookie": f"interlink_view={TOKEN}"}
HOSTS = frozenset({"127.0.0.1:8321", "localhost:8321"})
Get = Callable[..., Answer]


def app_of(site: Site) -> Any:
    for build in site.builds.values():
        build.refresh()
        assert not build.problem
    return application(site, TOKEN, HOSTS)


@pytest.fixture(scope="module")
def app(root: Path) -> Any:
    return app_of(open_site([str(root)]))


@pytest.fixture
def get(app: Any) -> Get:
    def get(url: str, **headers: str) -> Answer:
        return ask(app, url, {**COOKIE, **{name.replace("_", "-"): value for name, value in headers.items()}})

    return get


def test_every_screen_answers(get: Get, root: Path) -> None:
    key = next(Build(None, root).documents())["id"]
    for path in (
        "",
        "documents",
        f"document/{key}",
        f"document/{key}?as=json",
        "items",
        f"item/{key}",
        "explore",
        "marks",
    ):
        answer = get(f"/root/{path}")
        assert answer.status == 200, path
        assert answer.text.startswith("<!doctype html>")
        assert "<style" not in answer.text
        assert " style=" not in answer.text
        assert "<script>" not in answer.text
    assert get("/").headers["location"] == "/root/"
    assert "interlink view ROOT OTHER" in get("/compare").text
    assert get("/static/view.js").headers["content-type"].startswith("text/javascript")


def test_the_overview_shows_what_status_counts(get: Get, root: Path) -> None:
    status = Build(None, root).status()
    text = get("/root/").text
    assert f"<b>{status.documents}</b> documents" in text
    assert f"<b>{status.text_tokens}</b> tokens" in text
    for name in status.stages:
        assert f'<th scope="row">{name}</th>' in text
    chip = re.search(r'href="([^"]+)">unreadable <b>1</b>', text)
    assert chip
    assert "broken.mp4" in get(unescape(chip[1])).text


def test_a_bar_of_a_histogram_leads_to_its_documents(get: Get, root: Path) -> None:
    text = get("/root/").text
    total = 0
    for href, count in re.findall(r'<a href="(/root/documents\?tokens_[^"]+)"[^>]*aria-label="[^"]*: (\d+)"', text):
        found = re.search(r"<h1>(\d+) document", get(unescape(href)).text)
        assert found
        total += int(count)
    assert total >= Build(None, root).status().documents


def test_search_filters_and_pages(get: Get, root: Path) -> None:
    documents = list(Build(None, root).documents())
    shown = get("/root/documents?sort=tokens&dir=asc").text
    assert shown.count('class="card"') == len(documents)
    word = documents[0]["segments"][1]["text"].split()[-1].strip(".")
    with_word = [d for d in documents if any(word in s.get("text", "") for s in d["segments"])]
    assert f"<h1>{len(with_word)} document" in get(f"/root/documents?q={word}").text
    assert "<h1>0 documents" in get("/root/documents?q=nothingsaysthis").text
    assert get('/root/documents?q="%20OR%20"*"').status == 200
    assert get("/root/documents?q=%00%22*").status == 200
    # Page by page in an order, each document comes once.
    from interlink.report.view.query import Asked

    finder = open_site([str(root)]).first.looked
    assert finder is not None
    seen, after = [], None
    while page := finder.finder.page(Asked(sort="sharpness", after=after), 2).cards:
        seen += [card.key for card in page]
        after = page[-1].number
    assert sorted(seen) == sorted(document["id"] for document in documents)
    back = finder.finder.page(Asked(sort="sharpness", before=after), 2)
    assert [card.key for card in back.cards] == seen[-3:-1]


def test_hostile_titles_and_cues_stay_text(get: Get, root: Path) -> None:
    (hostile,) = [d for d in Build(None, root).documents() if d["source"]["path"].startswith("<img")]
    assert any(CUE in segment.get("text", "") for segment in hostile["segments"])
    for path in ("documents", f"document/{hostile['id']}", "items", f"item/{hostile['id']}"):
        text = get(f"/root/{path}").text
        assert escape(HOSTILE)[:20] in text.replace("&#34;", "&quot;").replace("&#39;", "&#x27;")
        assert "<img src=x" not in text
        assert "<script>alert" not in text
    assert "49" not in re.findall(r"pours (\S+)", get(f"/root/document/{hostile['id']}").text)
    assert get(f"/root/media/{quote(hostile['id'])}").status == 200


def test_frames_and_videos_have_tags_and_ranges(get: Get, root: Path) -> None:
    (item,) = {d["id"] for d in Build(None, root).documents() if d["source"]["path"].startswith("<img")}
    frame = get(f"/root/frame/{item}/0/0.jpg")
    assert frame.body[:2] == b"\xff\xd8"
    assert get(f"/root/frame/{item}/0/0.jpg", if_none_match=frame.headers["etag"]).status == 304
    small = get(f"/root/frame/{item}/0/0.jpg?height=90")
    assert len(small.body) < len(frame.body)
    assert small.headers["etag"] != frame.headers["etag"]
    whole = get(f"/root/media/{item}")
    part = get(f"/root/media/{item}", range="bytes=10-19")
    assert (part.status, part.body) == (206, whole.body[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.body)}"
    assert get(f"/root/media/{item}", range=f"bytes={len(whole.body)}-").status == 416
    assert whole.headers["content-type"] == "video/mp4"
    assert "etag" in whole.headers


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nobuild/", 404),
        ("/root/document/none", 404),
        ("/root/item/none", 404),
        ("/root/media/none", 404),
        ("/root/media/..%2f..%2fetc%2fpasswd", 404),
        ("/root/frame/none/0/0.jpg", 404),
        ("/root/similar/none/0/0", 404),
        ("/root/nothing", 404),
        ("/compare?of=none", 200),
        ("/root/frame/none/x/0.jpg", 400),
        ("/root/frame/none/0/-1.jpg", 400),
        ("/root/frame/none/99999999999999999999/0.jpg", 400),
        ("/root/documents?tokens_min=few", 400),
        ("/root/documents?tokens_min=nan", 400),
        ("/root/documents?after=x", 400),
        ("/root/documents?after=99999999999999999999999", 400),
        ("/root/documents?sort=words", 400),
        ("/root/documents?dir=up", 400),
        ("/root/items?outcome=good", 400),
        ("/root/items?after=-1", 400),
        ("/root/explore?sharpness=much", 400),
        ("/root/explore?darkest=7", 400),
        ("/root/explore?edge=none", 400),
    ],
)
def test_wrong_addresses_get_404_and_wrong_values_400(get: Get, path: str, status: int) -> None:
    assert get(path).status == status


def test_only_a_browser_with_the_token_is_answered(app: Any) -> None:
    assert ask(app, "/root/").status == 403
    assert ask(app, "/static/view.js").status == 403
    assert ask(app, "/root/?token=wrong").status == 403
    assert ask(app, "/root/", {"cookie": "interlink_view=wrong"}).status == 403
    first = ask(app, f"/root/documents?token={TOKEN}&q=a")
    assert (first.status, first.headers["location"]) == (303, "/root/documents?q=a")
    cookie = first.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert ask(app, "/root/", {"cookie": first.headers["set-cookie"].partition(";")[0]}).status == 200


def test_other_hosts_sites_and_methods_are_refused(app: Any) -> None:
    assert ask(app, "/root/", {**COOKIE, "host": "evil.example:8321"}).status == 421
    assert ask(app, "/root/", {**COOKIE, "host": "127.0.0.1:1"}).status == 421
    for site in ("cross-site", "same-site"):
        assert ask(app, "/root/", {**COOKIE, "sec-fetch-site": site}).status == 403
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        answer = ask(app, "/root/", COOKIE, method)
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert ask(app, "/root/", COOKIE, "HEAD").status == 200


def test_every_answer_carries_the_rules_for_the_browser(app: Any, get: Get) -> None:
    for answer in (get("/root/"), get("/nobuild/"), ask(app, "/root/"), get("/static/view.css")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"


def test_the_explorer_counts_and_says_the_command_of_the_next_build(get: Get, root: Path) -> None:
    as_built = get("/root/explore").text
    status = Build(None, root).status()
    assert f"<b>{status.clips}</b> clips" in as_built
    assert "--set" not in as_built
    part = get("/root/explore?sharpness=500.5&tokens=4&part=counts").text
    assert not part.startswith("<!doctype")
    assert "--set filter.sharpness=500.5 --set filter.tokens=4" in part
    assert "At the edge of filter.sharpness" in part
    assert "Approximate" not in part


def test_frames_that_look_alike_are_found_by_their_hashes(get: Get, root: Path) -> None:
    item = next(Build(None, root).documents())["id"]
    text = get(f"/root/similar/{item}/0/0").text
    assert 'aria-current="true" aria-label="frame 0 of clip 0' in text
    distances = [int(bits) for bits in re.findall(r"<span>(\d+) bits", text)]
    assert distances == sorted(distances)
    assert distances[0] == 0


def test_a_build_whose_catalogue_is_being_made_shows_its_funnel(copied: Callable[[], Path]) -> None:
    site = open_site([str(copied())])
    app = application(site, TOKEN, HOSTS)
    first = ask(app, "/root/", COOKIE)
    assert first.status == 200
    assert "The catalogue is being made" in first.text
    assert '<th scope="row">interleave</th>' in first.text
    assert ask(app, "/root/documents", COOKIE).status == 503
    assert ask(app, "/root/progress", COOKIE).text.startswith('{"ready":false')
    site.first.refresh()
    assert ask(app, "/root/progress", COOKIE).text.startswith('{"ready":true')
    assert ask(app, "/root/documents", COOKIE).status == 200


def test_two_builds_are_compared(copied: Callable[[], Path], root: Path) -> None:
    other = copied()
    clips = sorted(clip["end"] - clip["start"] for d in Build(None, root).documents() for clip in d["clips"])
    build = Build(None, other, [f"filter.shortest={clips[len(clips) // 2]!r}", "interleave.clips_per_document=2"])
    build.run(("interleave",))
    app = app_of(open_site([str(root), str(other)]))
    text = ask(app, "/compare", COOKIE).text
    assert "<code>interleave.clips_per_document</code>" in text
    assert "<code>interleave.filter.shortest</code>" in text
    assert "<del>" in text
    before, after = Build(None, root).status(), build.status()
    assert f'<td class="count">{before.clips}</td><td class="count">{after.clips}</td>' in text
    assert ask(app, "/compare?of=root&with=root", COOKIE).text.count("The documents of both builds are the same") == 1
    assert ask(app, "/compare?of=none", COOKIE).status == 404
    assert ask(app, "/compare?show=odd", COOKIE).status == 400


def test_a_document_as_the_model_reads_it(get: Get, root: Path) -> None:
    pytest.importorskip("torch")
    key = next(Build(None, root).documents())["id"]
    text = get(f"/root/document/{key}?as=model&max_tokens=9").text
    tokens = re.findall(r'<span class="(\w+)( cut)?( learned)?"( data-media="\d+")? data-sees="([\d ]*)">', text)
    assert sum(1 for token in tokens if token[1]) == len(tokens) - 9
    assert [token[0] for token in tokens][:2] == ["marker", "visual"]
    assert tokens[2][4] == "0"
