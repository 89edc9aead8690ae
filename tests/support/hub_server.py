"""A server on loopback that speaks the part of the Hugging Face Hub's API that `huggingface_hub` uses for datasets.

Creating, listing, preupload, LFS batches with single and multipart uploads, commits, ranges of files. In memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

PART = 40_000  # bytes; larger objects are sent in parts
LARGE = (".tar", ".parquet", ".png", ".jpg", ".mp4")


@dataclass
class Repository:
    """A dataset. files: path -> (content, whether it is in LFS)."""

    private: bool
    files: dict[str, tuple[bytes, bool]] = field(default_factory=dict)
    commits: list[list[str]] = field(default_factory=list)  # the paths of each


class Hub:
    """Serves while it is entered. tokens: token -> the namespaces that it may write to.

    sent: LFS oid -> number of uploads that were complete. block_after: that many complete uploads are answered; the
    next ones wait for the client's end.
    """

    def __init__(self) -> None:
        self.tokens: dict[str, tuple[str, ...]] = {"hf_good": ("me", "lab"), "hf_other": ("other",)}
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.parts: dict[tuple[str, int], bytes] = {}
        self.sent: Counter[str] = Counter()
        self.requests: list[str] = []
        self.block_after: int | None = None
        self.blocked = threading.Event()
        self.unblock = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.hub = self  # type: ignore[attr-defined]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unblock.set()
        self._server.shutdown()
        self._server.server_close()


def blob(data: bytes) -> str:
    """Git's name of a file's content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(data: bytes) -> bytes:
    oid = hashlib.sha256(data).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(data)}\n".encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        found: Hub = self.server.hub  # type: ignore[attr-defined]
        return found

    def log_message(self, *_: Any) -> None:
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def _answer(self, status: int, content: Any = None, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _fail(self, status: int, message: str, code: str = "") -> None:
        self._answer(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def _namespaces(self) -> tuple[str, ...] | None:
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        return self.hub.tokens.get(token)

    def _handle(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self._body()
        self.hub.requests.append(f"{self.command} {path}")
        if path.startswith("/lfs/"):
            self._store(path.removeprefix("/lfs/"), body)
        elif path == "/api/validate-yaml":
            self._answer(200, {"errors": [], "warnings": []})
        elif "Authorization" in self.headers and self._namespaces() is None:
            self._fail(401, "Invalid credentials in Authorization header")
        elif path == "/api/repos/create":
            self._create(json.loads(body))
        elif found := re.fullmatch(r"/(api/)?datasets/([^/]+/[^/]+?)(\.git)?(/.*)?", path):
            self._of_repository(found[2], found[4] or "", body)
        else:
            self._fail(404, f"no {path}")

    do_GET = do_HEAD = do_POST = do_PUT = _handle

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] not in (self._namespaces() or ()):
            self._fail(403, f"You may not create a dataset under {asked['organization']}")
            return
        there = name in self.hub.repositories
        if not there:
            self.hub.repositories[name] = Repository(asked.get("visibility") == "private" or bool(asked.get("private")))
        self._answer(409 if there else 200, {"url": f"{self.hub.url}/datasets/{name}"})

    def _of_repository(self, name: str, rest: str, body: bytes) -> None:
        repository = self.hub.repositories.get(name)
        may_write = name.partition("/")[0] in (self._namespaces() or ())
        if repository is None or (repository.private and not may_write):
            self._fail(404 if "Authorization" in self.headers else 401, "Repository Not Found", "RepoNotFound")
        elif rest in ("", "/revision/main"):
            self._answer(200, {"id": name, "sha": "0" * 40, "private": repository.private, "tags": [], "downloads": 0,
                               "likes": 0, "siblings": [{"rfilename": path} for path in repository.files]})  # fmt: skip
        elif rest.startswith("/tree/main"):
            self._list(repository, rest.removeprefix("/tree/main").strip("/"))
        elif rest.startswith("/paths-info/"):
            self._paths(repository, body)
        elif rest.startswith("/resolve/main/"):
            self._serve(repository, rest.removeprefix("/resolve/main/"))
        elif not may_write:
            self._fail(403, f"Forbidden: you may not write to {name}")
        elif rest == "/preupload/main":
            asked = json.loads(body)["files"]
            self._answer(200, {"files": [
                {"path": one["path"], "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
                 "shouldIgnore": False} for one in asked]})  # fmt: skip
        elif rest == "/info/lfs/objects/batch":
            self._batch(json.loads(body)["objects"])
        elif rest == "/commit/main":
            self._commit(name, repository, [json.loads(line) for line in body.splitlines()])
        else:
            self._fail(404, f"no {rest}")

    def _entry(self, path: str, data: bytes, large: bool) -> dict[str, Any]:
        oid = {"oid": blob(pointer(data) if large else data)}
        lfs = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": len(pointer(data))}
        return {"type": "file", "path": path, "size": len(data), **oid, **({"lfs": lfs} if large else {})}

    def _list(self, repository: Repository, folder: str) -> None:
        prefix = f"{folder}/" if folder else ""
        below = {path: content for path, content in repository.files.items() if path.startswith(prefix)}
        if folder and not below:
            self._fail(404, f"{folder} does not exist", "EntryNotFound")
            return
        found = [self._entry(path, *content) for path, content in sorted(below.items())]
        if "recursive=true" not in self.path.lower():
            found = [one for one in found if "/" not in one["path"].removeprefix(prefix)]
            folders = {prefix + path.removeprefix(prefix).partition("/")[0] for path in below}
            found += [
                {"type": "directory", "path": path, "oid": "0" * 40, "size": 0}
                for path in sorted(folders)
                if path not in below
            ]
        self._answer(200, found)

    def _paths(self, repository: Repository, body: bytes) -> None:
        text = body.decode()
        paths = json.loads(text)["paths"] if text.startswith("{") else re.findall(r"paths=([^&]*)", unquote(text))
        found = []
        for path in [paths] if isinstance(paths, str) else paths:
            if path in repository.files:
                found.append(self._entry(path, *repository.files[path]))
            elif any(name.startswith(f"{path}/") for name in repository.files):
                found.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
        self._answer(200, found)

    def _serve(self, repository: Repository, path: str) -> None:
        if path not in repository.files:
            self._fail(404, f"{path} does not exist", "EntryNotFound")
            return
        data = repository.files[path][0]
        facts = {"ETag": f'"{blob(data)}"', "X-Repo-Commit": "0" * 40, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
            facts["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data = data[first : last + 1]
        self._answer(206 if asked else 200, data, facts)

    def _batch(self, asked: list[dict[str, Any]]) -> None:
        found = []
        for one in asked:
            oid, size = one["oid"], one["size"]
            entry: dict[str, Any] = {"oid": oid, "size": size}
            if oid not in self.hub.objects:
                upload: dict[str, Any] = {"href": f"{self.hub.url}/lfs/{oid}"}
                if size > PART:
                    count = -(-size // PART)
                    parts = {str(n + 1): f"{self.hub.url}/lfs/{oid}/{n + 1}" for n in range(count)}
                    upload = {
                        "href": f"{self.hub.url}/lfs/{oid}/complete",
                        "header": {"chunk_size": str(PART), **parts},
                    }
                entry["actions"] = {"upload": upload}
            found.append(entry)
        self._answer(200, {"transfer": "multipart", "objects": found})

    def _store(self, path: str, body: bytes) -> None:
        oid, _, part = path.partition("/")
        if part and part != "complete":
            self.hub.parts[oid, int(part)] = body
            self._answer(200, b"", {"ETag": f'"{part}"'})
            return
        hub = self.hub
        if hub.block_after is not None and sum(hub.sent.values()) >= hub.block_after:
            hub.blocked.set()
            hub.unblock.wait(30)
            return
        if part == "complete":
            named = [one["partNumber"] for one in json.loads(body)["parts"]]
            body = b"".join(hub.parts.pop((oid, number)) for number in named)
        if hashlib.sha256(body).hexdigest() != oid:
            self._fail(400, "wrong content")
            return
        hub.objects[oid] = body
        hub.sent[oid] += 1
        self._answer(200, {})

    def _commit(self, name: str, repository: Repository, lines: list[dict[str, Any]]) -> None:
        paths = []
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = (base64.b64decode(value["content"]), False)
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = (self.hub.objects[value["oid"]], True)
            elif line["key"] == "deletedFile":
                del repository.files[value["path"]]
            paths += [value["path"]] if "path" in value else []
        repository.commits.append(paths)
        self._answer(200, {"commitUrl": f"{self.hub.url}/datasets/{name}/commit/{'1' * 40}", "commitOid": "1" * 40})
