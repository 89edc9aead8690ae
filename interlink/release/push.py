"""Uploads a release to a dataset repository of the Hugging Face Hub, in commits of some files each.

What the repository already has is not sent again: a file by its sum, an object of an interrupted upload by the Hub's
own answer. The description of the release (README.md, SHA256SUMS, RELEASE.json, …) goes into the last commit, which
also removes the files of an earlier release. The token is that of `hf auth login` or HF_TOKEN; HF_ENDPOINT is honoured.
Costs one sha256 of every file that is sent.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlink.errors import UserError
from interlink.release.target import COMMIT, SUMS

FILES_PER_COMMIT = 100
BYTES_PER_COMMIT = 4 * 2**30
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
_AGAIN = "run the same command again: what is there already is not sent again"


@dataclass(frozen=True)
class Pushed:
    """Result of an upload. sent, kept: files that were sent, and that were already there; bytes: of those sent."""

    url: str
    private: bool
    sent: int
    kept: int
    removed: int
    bytes: int

    def line(self) -> str:
        """For people."""
        kept = f"; {self.kept:,} were already there" if self.kept else ""
        removed = f"; {self.removed:,} of an earlier release removed" if self.removed else ""
        seen = "private" if self.private else "public"
        return f"uploaded {self.sent:,} files, {self.bytes / 1e6:,.1f} MB{kept}{removed}: {self.url} ({seen})"


def check_request(repo: str, public: bool, out: str) -> None:
    """Raises UserError if `--push repo` cannot be done for a release in `out`; nothing is read or asked."""
    if public and not repo:
        raise UserError("--public has no effect without --push", "name the dataset: --push OWNER/NAME", 2)
    if repo:
        check_id(repo)
        if "://" in out and not out.startswith("file://"):
            raise UserError(f"--push needs a local release, not {out}", "give a folder of this machine as --out", 2)


def check_id(repo: str) -> None:
    """Raises UserError unless `repo` is a repository's id."""
    if not _ID.fullmatch(repo):
        raise UserError(f"--push {repo!r} is not the id of a dataset", "write OWNER/NAME, as in lab/cooking-clips", 2)


def push(
    folder: Path,
    repo: str,
    public: bool = False,
    endpoint: str | None = None,
    report: Callable[[int, int], None] | None = None,
) -> Pushed:
    """Uploads the complete release in `folder` to the dataset `repo`, which is made private unless `public`.

    report: called with (bytes sent, bytes to send). Raises UserError where the release is incomplete or damaged, the
    repository is public without `public`, the token is missing or refused, or the Hub cannot be reached.
    """
    check_id(repo)
    sums = read_sums(folder)
    api, token = _client(endpoint)

    with explained(repo, api.endpoint, token):
        url = str(api.create_repo(repo, repo_type="dataset", private=not public, exist_ok=True))
        private = bool(api.repo_info(repo, repo_type="dataset").private)
        if not private and not public:
            raise UserError(
                f"the dataset {repo} is public", "add --public if everybody may see this release, or make it private", 2
            )
        there = {
            one.path: one
            for one in api.list_repo_tree(repo, recursive=True, repo_type="dataset")
            if "blob_id" in vars(one)
        }
        missing = [path for path in sums if not _same(folder / path, sums[path], there.get(path))]
        old = [path for path in _earlier(api, repo, there, sums[SUMS]) if path in there and path not in sums]
        done, total = 0, sum((folder / path).stat().st_size for path in missing)
        batches = list(_batches(folder, missing))
        for number, batch in enumerate(batches, 1):
            last = number == len(batches)
            _commit(api, repo, folder, sums, batch, old if last else [], f"Files {number} of {len(batches)}")
            done += sum((folder / path).stat().st_size for path in batch)
            if report:
                report(done, total)
    return Pushed(url, private, len(missing), len(sums) - len(missing), len(old) if batches else 0, total)


def read_sums(folder: Path) -> dict[str, str]:
    """Path -> sha256 of every file of a local release; the files that describe it last, RELEASE.json at the end.

    Raises UserError if there is no complete release.
    """
    if not (folder / COMMIT).is_file() or not (folder / SUMS).is_file():
        raise UserError(f"{folder} holds no complete release", "make one: interlink release ROOT --format … --out OUT")
    lines = (folder / SUMS).read_text().splitlines()
    found = {path: digest for digest, _, path in (line.partition("  ") for line in lines)}
    if lost := [path for path in found if not (folder / path).is_file()]:
        raise UserError(f"{folder / lost[0]} is missing", "make the release again, with another --out")
    found |= {name: _sha256(folder / name) for name in (SUMS, COMMIT)}
    return dict(sorted(found.items(), key=lambda pair: ("/" not in pair[0], pair[0] == COMMIT)))


@contextmanager
def explained(repo: str, endpoint: str, token: str) -> Iterator[None]:
    """Turns every failure of the Hub's client into a UserError. The token is in no message."""
    from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

    try:
        yield
    except OfflineModeIsEnabled:
        raise UserError(f"cannot reach {endpoint}: HF_HUB_OFFLINE is set", "unset HF_HUB_OFFLINE") from None
    except HfHubHTTPError as error:
        raise _refused(error, repo, endpoint, token) from None
    except (HTTPError, OSError, RuntimeError, ValueError) as error:
        inner = error.__cause__ if isinstance(error, RuntimeError) and error.__cause__ else error
        if isinstance(inner, HfHubHTTPError):
            raise _refused(inner, repo, endpoint, token) from None
        why = _line(inner, token)
        raise UserError(f"the upload to {repo} at {endpoint} stopped: {why}", f"check the network; {_AGAIN}") from None


def _refused(error: Any, repo: str, endpoint: str, token: str) -> UserError:
    status = error.response.status_code if error.response is not None else 0
    if status == 401:
        return UserError(f"{endpoint} does not accept the token", "log in again (hf auth login), or set HF_TOKEN")
    if status in (403, 404):
        return UserError(
            f"the token may not write to the dataset {repo} at {endpoint}",
            "use a name of your own or of an organisation of yours, and a token with write access",
        )
    why = _line(error, token)
    return UserError(f"the upload to {repo} at {endpoint} stopped: {why}", _AGAIN)


def _line(error: BaseException, token: str) -> str:
    """The first line of an error's message, without the token."""
    first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return first.replace(token, "…")[:300]


def _client(endpoint: str | None) -> tuple[Any, str]:
    """The Hub's client and the token."""
    try:
        from huggingface_hub import HfApi, get_token
    except ImportError:
        raise UserError("huggingface_hub is not installed", "install the extra: pip install interlink[hub]") from None
    token = get_token()
    if not token:
        raise UserError("there is no token for the Hugging Face Hub", "log in (hf auth login), or set HF_TOKEN")
    return HfApi(endpoint=endpoint, token=token), token


def _same(path: Path, digest: str, remote: Any) -> bool:
    """Whether the repository's file has this content: by its sha256 in LFS, else by git's name of it."""
    if remote is None or remote.size != path.stat().st_size:
        return False
    if remote.lfs is not None:
        return bool(remote.lfs.sha256 == digest)
    data = path.read_bytes()
    return bool(remote.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest())


def _earlier(api: Any, repo: str, there: Mapping[str, Any], digest: str) -> list[str]:
    """The files of the release that the repository holds, if it is another one."""
    if SUMS not in there:
        return []
    with tempfile.TemporaryDirectory(prefix="interlink-push-") as scratch:  # not the user's cache
        data = Path(api.hf_hub_download(repo, SUMS, repo_type="dataset", local_dir=scratch)).read_bytes()
    if hashlib.sha256(data).hexdigest() == digest:
        return []
    return [line.partition("  ")[2] for line in data.decode().splitlines()]


def _batches(folder: Path, paths: Sequence[str]) -> Iterator[list[str]]:
    """Groups for one commit each: limited in number and bytes; all files that describe the release are in the last."""
    batch: list[str] = []
    size = 0
    for path in paths:
        more = (folder / path).stat().st_size
        full = len(batch) >= FILES_PER_COMMIT or size + more > BYTES_PER_COMMIT
        if batch and full and "/" in path:
            yield batch
            batch, size = [], 0
        batch.append(path)
        size += more
    if batch:
        yield batch


def _commit(
    api: Any, repo: str, folder: Path, sums: Mapping[str, str], batch: Sequence[str], old: Sequence[str], message: str
) -> None:
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    added = [CommitOperationAdd(path, str(folder / path)) for path in batch]
    for one in added:
        if one.upload_info.sha256.hex() != sums[one.path_in_repo]:
            raise UserError(
                f"{folder / one.path_in_repo} differs from {SUMS}", "make the release again, with another --out"
            )
    quiet = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        removed = [CommitOperationDelete(path) for path in old]
        api.create_commit(repo, [*added, *removed], commit_message=message, repo_type="dataset")
    finally:
        if not quiet:
            enable_progress_bars()


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
