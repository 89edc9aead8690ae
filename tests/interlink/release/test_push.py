"""`interlink release --push`: a release goes to the Hub's API on loopback, once, privately, and resumes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hub_server import Hub
from interlink.errors import UserError
from interlink.release import Made, ReleaseSettings, release
from interlink.release import push as pushing
from interlink.release.push import push, read_sums
from interlink.storage import Storage
from releasing import LOCK, filmed, make, put, simple

pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # of huggingface_hub's client
TOKEN = "hf_good"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with small and large files: one of more than one part."""
    at = tmp_path_factory.mktemp("push")
    documents = [filmed(simple(n), data=os.urandom(30_000)) for n in range(4)]
    make(put(Storage(str(at / "root")), documents), at / "out", "datasets", "pairs", "videos", val_share=0.0)
    return at / "out"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with Hub() as made:
        yield made


def held(hub: Hub, repo: str = "me/clips") -> dict[str, bytes]:
    return {path: content for path, (content, _) in hub.repositories[repo].files.items()}


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_repository_holds_the_release_and_is_private(hub: Hub, folder: Path) -> None:
    reported: list[tuple[int, int]] = []
    done = push(folder, "me/clips", endpoint=hub.url, report=lambda sent, total: reported.append((sent, total)))
    assert held(hub) == files(folder)
    assert hub.repositories["me/clips"].private and done.private
    assert (done.sent, done.kept, done.url) == (len(files(folder)), 0, f"{hub.url}/datasets/me/clips")
    assert reported == [(done.bytes, done.bytes)] and done.bytes == sum(map(len, files(folder).values()))
    assert any("/lfs/" in line and line.endswith("/2") for line in hub.requests), "no file of several parts was sent"


def test_what_is_there_is_not_sent_again(hub: Hub, folder: Path) -> None:
    push(folder, "me/clips", endpoint=hub.url)
    before, commits = hub.sent.total(), len(hub.repositories["me/clips"].commits)
    done = push(folder, "me/clips", endpoint=hub.url)
    assert (done.sent, done.bytes) == (0, 0) and done.kept == len(files(folder))
    assert hub.sent.total() == before and len(hub.repositories["me/clips"].commits) == commits


def test_the_description_is_committed_last(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "FILES_PER_COMMIT", 3)
    push(folder, "me/clips", endpoint=hub.url)
    commits = hub.repositories["me/clips"].commits
    assert len(commits) > 2 and all("/" in path for commit in commits[:-1] for path in commit)
    assert {"README.md", "RELEASE.json", "SHA256SUMS", "croissant.json"} < set(commits[-1])


def test_another_release_replaces_the_files_of_the_earlier_one(hub: Hub, folder: Path, tmp_path: Path) -> None:
    push(folder, "me/clips", endpoint=hub.url)
    hub.repositories["me/clips"].files["notes.md"] = (b"by hand", False)
    make(put(Storage(str(tmp_path / "root")), [simple(7)]), tmp_path / "new", "pairs", val_share=0.0)
    done = push(tmp_path / "new", "me/clips", endpoint=hub.url)
    assert held(hub) == files(tmp_path / "new") | {"notes.md": b"by hand"}
    assert done.removed > 0


CLIENT = """
import sys
from pathlib import Path
from interlink.release.push import push
push(Path(sys.argv[1]), "me/clips", endpoint=sys.argv[2])
"""


@pytest.mark.processes
def test_an_upload_killed_in_the_middle_resumes(hub: Hub, folder: Path) -> None:
    hub.block_after = 2
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    client = subprocess.Popen([sys.executable, "-c", CLIENT, folder, hub.url], env=environment)
    try:
        assert hub.blocked.wait(60), "the client sent too little"
    finally:
        client.kill()
        client.wait()
    complete = set(hub.sent)
    assert len(complete) == 2 and hub.repositories["me/clips"].files == {}
    hub.block_after = None
    hub.unblock.set()
    push(folder, "me/clips", endpoint=hub.url)
    assert held(hub) == files(folder)
    assert set(hub.sent) > complete and set(hub.sent.values()) == {1}, "an object was sent twice"


def refused(folder: Path, repo: str, endpoint: str, **options: bool) -> UserError:
    with pytest.raises(UserError) as caught:
        push(folder, repo, endpoint=endpoint, **options)
    assert len(str(caught.value).splitlines()) == 2
    assert TOKEN not in str(caught.value) and "hf_wrong" not in str(caught.value)
    return caught.value


def test_a_wrong_token_no_token_and_a_repository_of_another_owner(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "may not write to the dataset other/clips" in refused(folder, "other/clips", hub.url).what
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    assert "does not accept the token" in refused(folder, "me/clips", hub.url).what
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    assert "there is no token" in refused(folder, "me/clips", hub.url).what
    assert hub.repositories == {}


def test_no_network_and_offline_mode(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = refused(folder, "me/clips", "http://127.0.0.1:9")
    assert "127.0.0.1:9 stopped" in found.what and "not sent again" in found.do
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE is set" in refused(folder, "me/clips", hub.url).what


def test_a_public_repository_needs_the_word(hub: Hub, folder: Path) -> None:
    push(folder, "me/clips", public=True, endpoint=hub.url)
    assert not hub.repositories["me/clips"].private
    assert "add --public" in refused(folder, "me/clips", hub.url).do


def test_a_damaged_or_incomplete_release_is_not_sent(hub: Hub, folder: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(folder, tmp_path / "damaged")
    tar = next((tmp_path / "damaged").rglob("*.tar"))
    tar.write_bytes(tar.read_bytes()[:-1] + b"x")
    assert "differs from SHA256SUMS" in refused(tmp_path / "damaged", "me/clips", hub.url).what
    assert hub.repositories["me/clips"].files == {}
    tar.unlink()
    assert "is missing" in refused(tmp_path / "damaged", "me/clips", hub.url).what
    (tmp_path / "empty").mkdir()
    assert "holds no complete release" in refused(tmp_path / "empty", "me/clips", hub.url).what
    assert "is not the id of a dataset" in refused(folder, "https://hub/me/clips", hub.url).what


def test_the_last_file_is_the_commit_marker(folder: Path) -> None:
    assert list(read_sums(folder))[-1] == "RELEASE.json"


def test_only_the_very_same_release_is_kept(tmp_path: Path) -> None:
    root = put(Storage(str(tmp_path / "root")), [simple(0)])

    def again(*formats: str, **settings: float) -> Made:
        given = ReleaseSettings(val_share=0.0, **settings)
        return release(root, LOCK, {}, formats, str(tmp_path / "out"), given, keep=True)

    first = again("pairs", "howto")
    marked = (tmp_path / "out" / "RELEASE.json").stat().st_mtime_ns
    assert again("pairs", "howto") == first
    assert (tmp_path / "out" / "RELEASE.json").stat().st_mtime_ns == marked
    for formats, settings in ((("pairs",), {}), (("pairs", "howto"), {"seed": 3})):
        with pytest.raises(UserError, match="is not empty"):
            again(*formats, **settings)
