"""download: gives each item a media file with its checksum, and its subtitles.

Local files stay where they are; yt-dlp, in child processes, fetches URLs into the build's `media/`. Pictures of pairs
and pages are stored in the table; img2dataset fetches those with a URL (interlink.fetch.pictures). Costs one read of
each local file (about 1.8 GB/s per core) and, for URLs, the network: many transfers run at once, with a rate limit per
host.

Slow servers: no answer within `timeout_seconds` is `network`. A server that began to send and then stayed silent that
long, or sent nothing for `stall_seconds`, is `stalled`. The executor retries both, and `throttled`: one `run` makes one
attempt.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from interlink.errors import UserError
from interlink.fetch import pair_tars, pictures
from interlink.fetch.child import Spec
from interlink.fetch.faults import Faults, SetupFault
from interlink.fetch.guard import Allowed
from interlink.fetch.img2dataset import ImageSettings
from interlink.fetch.local import Sidecars, Subtitle, digest
from interlink.fetch.pacing import MARGIN, Pacer
from interlink.fetch.pool import Pool, processes
from interlink.fetch.reach import reach
from interlink.fetch.transfers import Transfer, transfer_all
from interlink.redaction import redact_url
from interlink.settings import Settings, added, operational
from interlink.stage import Blob, Context, Item, Resources, Row, Stage
from interlink.stages.collect import MEDIA_EXTENSIONS
from interlink.text.languages import Languages

if TYPE_CHECKING:
    from interlink.fetch.ytdlp import Wishes

# yt-dlp options that a recipe may set. None runs a command, writes a file, or holds a secret (a recipe is published
# with the data).
ALLOWED_OPTIONS = frozenset(
    {
        *("extractor_args", "format", "format_sort", "http_chunk_size", "http_headers", "legacyserverconnect"),
        *("ratelimit", "sleep_interval", "sleep_interval_requests", "source_address"),
    }
)


class DownloadSettings(Settings):
    """The block `download` of a recipe."""

    concurrency: int = operational(8, "Transfers at once.", ge=1, le=256)
    max_height: int = Field(
        720, ge=1, description="Most pixels of the short side; the best format within it is taken, if any."
    )
    max_megabytes: float | None = Field(
        4000.0, gt=0, description="Larger media fail as too_large (10^6 bytes); null = no limit."
    )
    max_seconds: float | None = Field(
        21600.0, gt=0, description="Longer media fail as too_long, where the site says so; null = no limit."
    )
    subtitle_languages: Languages = Field(("en",), description="Languages of the subtitles to fetch from sites.")
    automatic_subtitles: bool = Field(True, description="Use automatic subtitles if a site has no others.")
    subtitles_path: str = Field(
        "", description="A folder with more subtitles: <stem or video id>[.<language>].vtt, .srt, .json3 …"
    )
    requests_per_second: float = operational(2.0, "Most requests a second to one host.", gt=0)
    burst: int = operational(4, "Requests to one host that may be sent at once after a pause.", ge=1)
    patience_seconds: float = operational(
        900.0, "Longest wait that a host may ask for; beyond it the item is throttled.", ge=0
    )
    timeout_seconds: float = operational(20.0, "Seconds for a server to connect and to answer.", gt=0)
    stall_seconds: float = operational(60.0, "Seconds without a byte after which a transfer is stalled.", gt=0)
    transfer_seconds: float = operational(
        7200.0, "Seconds of work after which a transfer is stalled; waits for the rate limit do not count.", gt=0
    )
    allow_hosts: tuple[str, ...] = operational(
        (), "Hosts that may have addresses outside the public internet: names, addresses, networks; :port limits one."
    )
    proxy: str | None = operational(None, "Proxy URL; empty = none, unset = the environment's.", private=True)
    cookies: str = operational("", "Cookie file in Netscape format; only read, never written.", private=True)
    images: ImageSettings = added(ImageSettings(), "how the pictures of pairs and pages are fetched")
    ydl_options: dict[str, Any] = Field({}, description="More options of yt-dlp: " + ", ".join(sorted(ALLOWED_OPTIONS)))

    @field_validator("ydl_options")
    @classmethod
    def _only_allowed(cls, options: dict[str, Any]) -> dict[str, Any]:
        if refused := sorted(options.keys() - ALLOWED_OPTIONS):
            raise ValueError(f"not allowed: {', '.join(refused)}; allowed are {', '.join(sorted(ALLOWED_OPTIONS))}")
        return options

    @field_validator("allow_hosts")
    @classmethod
    def _are_hosts(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            Allowed.parse(host)
        return hosts


class Download(Stage):
    """Stage `download`; its rows follow `interlink.tables.DOWNLOAD`."""

    name: ClassVar[str] = "download"
    version: ClassVar[int] = 2
    settings_class: ClassVar[type[Settings]] = DownloadSettings

    def __init__(self, settings: DownloadSettings, context: Context) -> None:
        super().__init__(settings, context)
        self._most_bytes = settings.max_megabytes * 1e6 if settings.max_megabytes else float("inf")
        self._cookies = ""
        self._pool: Pool | None = None
        self._pool_lock = threading.Lock()

    @staticmethod
    def costly(settings: DownloadSettings) -> bool:
        return True

    @classmethod
    def expected_seconds(cls, settings: DownloadSettings, megabytes: float, local: bool) -> float:
        return 0.02 if local else 5.0

    @staticmethod
    def resources(settings: DownloadSettings) -> Resources:
        return Resources(cpus=1.0, workers=1)  # one worker, so that the rate limit of a host is in one place

    @staticmethod
    def idle(settings: DownloadSettings, rows: Mapping[str, Mapping[str, Any]]) -> frozenset[str]:
        of_sites = {"max_height", "max_seconds", "automatic_subtitles"}
        kind = rows["collect"]["kind"]
        if kind in ("pair", "page"):
            return frozenset(of_sites)
        return frozenset({"images"} if kind == "url" else {"images", *of_sites})

    @staticmethod
    def check(settings: DownloadSettings, context: Context) -> None:
        _cookies(settings)
        if settings.subtitles_path and not Path(settings.subtitles_path).expanduser().is_dir():
            raise UserError(
                f"there is no folder {settings.subtitles_path}", "set download.subtitles_path to one", code=2
            )

    def open(self) -> None:
        """Raises UserError where a file or folder of the settings cannot be read."""
        settings = self.settings
        self.check(settings, self.context)
        self._cookies = _cookies(settings)
        self._pacer = Pacer(MARGIN * settings.requests_per_second, settings.burst, settings.patience_seconds)
        self._sidecars = Sidecars(MEDIA_EXTENSIONS)
        self._faults = Faults()
        self._set_aside = 0  # items of paused hosts
        with self.context.root.committing():
            _remove_leftovers(self.context.root.scratch())

    def close(self) -> None:
        with self._pool_lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None
        _remove_leftovers(self.context.root.scratch(), of_this_process=True)

    def run(self, items: Iterator[Item]) -> Iterator[Row]:
        """A row per item as each is finished, at most `concurrency` at once.

        Raises UserError if the source has URLs and yt-dlp, or img2dataset, is missing; if the disk is full; and, after
        all other items, if a host was paused (interlink.fetch.faults).
        """
        # The items of a partition are of one kind. Before another kind begins, running transfers are finished.
        for are_pictures, group in groupby(items, lambda item: item.rows["collect"]["kind"] in pictures.KINDS):
            if are_pictures:
                settings = self.settings
                hosts = reach(settings.allow_hosts, settings.proxy)
                yield from pictures.fetch_all(group, settings.images, self._folder, hosts)
            else:
                yield from self._transfers(group)

    def _transfers(self, items: Iterator[Item]) -> Iterator[Row]:
        settings = self.settings
        open_items = self._of_open_hosts(items)
        limits = (settings.stall_seconds, settings.transfer_seconds)
        yield from transfer_all(open_items, self._process, settings.concurrency, *limits)
        if self._set_aside:
            words = "; ".join(f"{host}: {text}" for host, text in self._faults.paused.items())
            raise UserError(
                f"{self._set_aside} items stay open: yt-dlp, as it is set up, cannot fetch from their hosts ({words})",
                "follow yt-dlp's words (update it, install a JavaScript runtime), then run the same command again",
            )

    def _of_open_hosts(self, items: Iterator[Item]) -> Iterator[Item]:
        """Leaves out the items of hosts that the set-up cannot fetch from; they get no row, and so stay open."""
        for item in items:
            if urlsplit(item.rows["collect"]["uri"]).netloc in self._faults.paused:
                self._set_aside += 1
            else:
                yield item

    def _folder(self) -> AbstractContextManager[Path]:
        return _own_folder(self.context.root.scratch())

    def _process(self, item: Item, transfer: Transfer) -> Row:
        source = item.rows["collect"]
        if place := pair_tars.place_of(source.get("metadata") or ""):
            return self._from_tar(item, source, place, transfer)
        if source["kind"] == "file":
            return self._local(item, source, transfer)
        return self._remote(item, source, transfer)

    def _local(self, item: Item, source: Any, transfer: Transfer) -> Row:
        path = Path(source["uri"])
        sha256, size = digest(path, transfer.progress, self._most_bytes)
        sidecars, lost = self._sidecars.find(path.parent, path.stem)
        more, more_lost = self._further_subtitles(source, path.stem, path.parent)
        fields = {"media": str(path), "sha256": sha256, "size": size, "url": "", "info": "{}"}
        return _row(item.id, fields, source["title"] or "", sidecars + more, lost + more_lost)

    def _from_tar(self, item: Item, source: Any, place: pair_tars.Place, transfer: Transfer) -> Row:
        """A video inside a tar: a copy becomes a file of the build, since decoders need a file."""
        path, root = Path(source["uri"]), self.context.root
        with _own_folder(root.scratch()) as folder:
            file = folder / f"video{PurePosixPath(source['path']).suffix}"
            pair_tars.extract(path, place, file, self._most_bytes)
            sha256, size = digest(file, transfer.progress, self._most_bytes)
            media = f"media/{item.id}{file.suffix}"
            with transfer.resting():
                root.put(media, file)
        fields = {"media": media, "sha256": sha256, "size": size, "url": "", "info": "{}"}
        return _row(item.id, fields, source["title"] or "", [], [])

    def _remote(self, item: Item, source: Any, transfer: Transfer) -> Row:
        url, host, root = source["uri"], urlsplit(source["uri"]).netloc, self.context.root
        with _own_folder(root.scratch()) as folder:
            try:
                fetched = self._children().fetch(url, folder, transfer)
            except SetupFault as fault:
                self._faults.failed(host, fault)
                raise
            self._faults.succeeded(host)
            sha256, size = digest(fetched.file, transfer.progress, self._most_bytes)
            extension = re.sub(r"[^a-z0-9]", "", fetched.file.suffix.lower())
            media = f"media/{item.id}.{extension if len(extension) <= 4 else 'bin'}"
            with transfer.resting():
                root.put(media, fetched.file)
        more, lost = self._further_subtitles(source, PurePosixPath(url).stem)
        fields = {"media": media, "sha256": sha256, "size": size, "url": redact_url(url), "info": fetched.info}
        return _row(item.id, fields, source["title"] or fetched.title, fetched.subtitles + more, fetched.lost + lost)

    def _children(self) -> Pool:
        """The processes that fetch, started for the first URL."""
        with self._pool_lock:
            if self._pool is None:
                spec = Spec(self._wishes(), self.settings.allow_hosts)
                self._pool = Pool(spec, self._pacer, processes(self.settings.concurrency))
            return self._pool

    def _wishes(self) -> Wishes:
        try:
            from interlink.fetch import ytdlp
        except ImportError as error:
            if (error.name or "").split(".")[0] != "yt_dlp":
                raise
            do = "run: pip install 'interlink[download]'"
            raise UserError("the source has URLs, but yt-dlp is not installed", do) from error
        settings = self.settings
        return ytdlp.Wishes(
            max_height=settings.max_height,
            most_bytes=self._most_bytes,
            most_seconds=settings.max_seconds or float("inf"),
            languages=settings.subtitle_languages,
            automatic_subtitles=settings.automatic_subtitles,
            timeout=min(settings.timeout_seconds, settings.stall_seconds),
            cookies=self._cookies,
            proxy=settings.proxy,
            cache=self.context.root.scratch() / "yt-dlp",
            extra=settings.ydl_options,
        )

    def _further_subtitles(
        self, source: Any, stem: str, rivals: Path | None = None
    ) -> tuple[list[Subtitle], list[str]]:
        if not self.settings.subtitles_path:
            return [], []
        folder = Path(self.settings.subtitles_path).expanduser().absolute()
        found, lost = self._sidecars.find(folder, source["video_id"], rivals)
        if found or lost or stem == source["video_id"]:
            return found, lost
        return self._sidecars.find(folder, stem, rivals)


def _cookies(settings: DownloadSettings) -> str:
    """The text of the cookie file, "" without one. Raises UserError where it cannot be read."""
    if not settings.cookies:
        return ""
    try:
        return Path(settings.cookies).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read the cookie file {settings.cookies}: {error}", "check download.cookies", 2
        ) from error


def _row(item_id: str, fields: dict[str, Any], title: str, subtitles: list[Subtitle], lost: list[str]) -> Row:
    by_name = {subtitle.name: subtitle for subtitle in reversed(subtitles)}  # the first of each name is kept
    kept = [
        {"name": name, "language": by_name[name].language, "data": Blob(by_name[name].data, PurePosixPath(name).suffix)}
        for name in sorted(by_name)
    ]
    fields = fields | {"title": title, "subtitles": kept, "pictures": []}
    return Row(item_id, fields, partial=bool(lost), message="; ".join(lost))


# -- folders of running transfers ---------------------------------------------------------------------------------

_PREFIX = "download-"


@contextmanager
def _own_folder(scratch: Path) -> Iterator[Path]:
    """A folder for one transfer, named by host and process, so that leftovers of a killed process can be removed."""
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{socket.gethostname()}-{os.getpid()}-", dir=scratch))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(scratch: Path, of_this_process: bool = False) -> None:
    """Removes the folders of processes that have ended, or of this one when its transfers have."""
    import psutil

    pattern = re.compile(rf"{_PREFIX}{re.escape(socket.gethostname())}-(\d+)-\w+")
    for folder in scratch.glob(f"{_PREFIX}*"):
        owner = pattern.fullmatch(folder.name)
        if not owner:
            continue
        pid = int(owner[1])
        if pid == os.getpid() if of_this_process else not psutil.pid_exists(pid):
            shutil.rmtree(folder, ignore_errors=True)
