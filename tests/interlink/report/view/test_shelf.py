"""A release, or a folder of tars, is opened for reading."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from asking import ask
from interlink.api import Build
from interlink.errors import UserError
from interlink.report.view.app import application
from interlink.report.view.shelf import open_shelf
from interlink.report.view.site import open_site

TOKEN = "a-token-of-the-tests"
COOKIE = {"cookie": f"interlink_view={TOKEN}"}
HOSTS = frozenset({"127.0.0.1:8321"})


@pytest.mark.parametrize("kind", ["shards", "datasets", "obelics"])
def test_documents_without_a_build_are_shown_in_order(root: Path, tmp_path: Path, kind: str) -> None:
    build = Build(None, root)
    documents = list(build.documents())
    folder = root / "shards"
    if kind == "shards":
        folder = next(folder.iterdir())
    else:
        folder = tmp_path / "release"
        build.release([kind], str(folder))
    site = open_site([str(folder)])
    (name,) = site.shelves
    app = application(site, TOKEN, HOSTS)

    shelf = site.shelves[name]
    assert {shelf.open(n).document["id"] for n in range(len(shelf))} == {document["id"] for document in documents}
    listed = ask(app, f"/read/{name}/", COOKIE)
    assert f"<h1>{len(documents)} documents" in listed.text
    (picture, *_) = re.findall(r'src="(/read/[^"]+)"', listed.text)
    assert ask(app, picture, COOKIE).body[:2] == b"\xff\xd8"
    shown = ask(app, f"/read/{name}/document/0", COOKIE)
    assert shown.status == 200
    assert shown.text.count("<figure>") == len(shelf.open(0).pictures)
    assert ask(app, f"/read/{name}/document/{len(documents)}", COOKIE).status == 404
    assert ask(app, f"/read/{name}/document/x", COOKIE).status == 400
    assert ask(app, f"/read/{name}/picture/0/none.jpg", COOKIE).status == 404
    assert ask(app, "/read/none/", COOKIE).status == 404
    assert ask(app, "/", COOKIE).headers["location"] == f"/read/{name}/"


def test_a_folder_without_documents_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to view"):
        open_shelf("x", str(tmp_path))
