"""Keeps a fetching process away from internal addresses: every connection of the process is judged before it is made.

An audit hook sees the address that a socket really connects to, so redirects inside a library and a name that changes
its address between two look-ups are judged too. The hook cannot be removed: install it only in a process that does
nothing but fetch. Code that does not use Python's sockets (libcurl, ffmpeg) is not seen and must not fetch there.

Behind a proxy the hook sees only the proxy. Then the target of every HTTP request is resolved and judged when the
request is sent. The proxy resolves the name again: a name that changes its address in between is not seen.

It needs nothing but the standard library, so that another environment's interpreter can run it too
(interlink.fetch.guarded).
"""

from __future__ import annotations

import ipaddress
import re
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    Address = ipaddress.IPv4Address | ipaddress.IPv6Address
    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Internal, though `is_global` of some Python versions says otherwise: special-purpose and site-local addresses, and a
# cloud's control server in the public range.
_INTERNAL = tuple(map(ipaddress.ip_network, ("192.0.0.0/24", "168.63.129.16/32", "fec0::/10")))
_RENEW_SECONDS = 60.0  # names of allowed hosts are resolved again after this time
_HEAD = re.compile(rb"[A-Z]{3,10} (\S+) HTTP/\d")
_HOST = re.compile(rb"\r\nhost:[ \t]*(\S+)", re.IGNORECASE)
_REMOTE = re.compile(r"(?i)(?<![a-z0-9+.-])(?!file:)[a-z][a-z0-9+.-]*://")


class BlockedAddress(OSError):
    """Raised for a connection that the guard refuses. An OSError, so that network libraries pass it on."""


def is_public(address: Address) -> bool:
    """Whether an address belongs to the public internet, seen through the forms that embed an IPv4 address."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if embedded is None and address in _NAT64:
            embedded = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if embedded is not None:
            return is_public(embedded)
    internal = any(address in network for network in _INTERNAL)
    return address.is_global and not address.is_multicast and not address.is_reserved and not internal


@dataclass
class Allowed:
    """An entry of `allow_hosts`: a name, an address or a network, perhaps with a port. port 0: every port."""

    host: str
    port: int = 0
    networks: tuple[Network, ...] = ()  # of the entry itself, or what its name resolves to
    resolved: float | None = None  # when the name was resolved, on the monotonic clock

    @classmethod
    def parse(cls, text: str) -> Allowed:
        """Raises ValueError if `text` is none of these."""
        plain = text.strip().lower()
        try:
            return cls(plain, networks=(ipaddress.ip_network(plain.strip("[]"), strict=False),))
        except ValueError:
            pass
        parts = urlsplit(f"//{plain}")
        if not parts.hostname or not plain or re.search(r"[/@?#\s*]", plain):
            raise ValueError(f"{text!r} is not a host name, an address or a network")
        try:
            networks: tuple[Network, ...] = (ipaddress.ip_network(parts.hostname),)
        except ValueError:
            networks = ()
        return cls(parts.hostname, parts.port or 0, networks)

    def holds(self, address: Address, port: int) -> bool:
        """Whether the entry names this address. Resolves a name at most once a minute."""
        if self.port not in (0, port):
            return False
        now = time.monotonic()
        named = self.resolved is not None or not self.networks
        if named and (self.resolved is None or now - self.resolved > _RENEW_SECONDS):
            self.networks = tuple(ipaddress.ip_network(one) for one in resolve(self.host))
            self.resolved = now
        return any(address in network for network in self.networks)


@dataclass
class Guard:
    """Judges connections. allow: hosts that may have internal addresses. proxies: URLs of the proxies in use.

    only_proxy: nothing but the proxies is reached, whatever the address. own: addresses of this machine, which are
    internal even where they are public. local_sockets: whether sockets of this machine (AF_UNIX) may be used.
    """

    allow: Sequence[str] = ()
    proxies: Sequence[str] = ()
    only_proxy: bool = False
    own: Sequence[str] = ()
    local_sockets: bool = False
    _allowed: list[Allowed] = field(init=False)
    _through: list[Allowed] = field(init=False)
    _own: frozenset[Address] = field(init=False)

    def __post_init__(self) -> None:
        self._allowed = [Allowed.parse(entry) for entry in self.allow]
        self._through = [_endpoint(url) for url in self.proxies]
        self._own = frozenset(map(ipaddress.ip_address, self.own))

    def install(self) -> None:
        """Judges every connection and every program of this process from now on."""
        sys.addaudithook(self._hook)

    def judge(self, address: Address, port: int) -> None:
        """Raises BlockedAddress if the address is neither public nor allowed."""
        plain = getattr(address, "ipv4_mapped", None) or address
        if is_public(plain) and plain not in self._own:
            return
        if any(entry.holds(plain, port) for entry in self._allowed):
            return
        raise BlockedAddress(
            f"{plain} (port {port}) is not a public address; download.allow_hosts may name hosts that are not"
        )

    def judge_host(self, host: str, port: int) -> None:
        """Resolves a host and judges all its addresses. Raises BlockedAddress, OSError if it has none."""
        found = resolve(host)
        if not found:
            raise OSError(f"{host} cannot be resolved here, so its address cannot be checked before the proxy is asked")
        for address in found:
            self.judge(address, port)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect":
            self._connect(arguments[0].family, arguments[1])
        elif event in ("socket.sendto", "socket.sendmsg"):
            if arguments[1] is not None:
                raise BlockedAddress("only connections are allowed here, no datagrams")
        elif event == "http.client.send" and self._through:
            self._request(arguments[1])
        elif event == "subprocess.Popen":
            _judge_program(arguments[1])

    def _connect(self, family: int, target: Any) -> None:
        if family not in (socket.AF_INET, socket.AF_INET6):
            if self.local_sockets:
                return
            raise BlockedAddress("only internet addresses are reached from here")
        try:
            address, port = ipaddress.ip_address(target[0]), int(target[1])
        except ValueError:  # a name, which the system would resolve after this judgement
            raise BlockedAddress(f"{target[0]!r} is not an address") from None
        if any(proxy.holds(address, port) for proxy in self._through):
            return
        if self.only_proxy and not any(entry.holds(address, port) for entry in self._allowed):
            raise BlockedAddress(f"{address} (port {port}) is not the proxy")
        self.judge(address, port)

    def _request(self, data: Any) -> None:
        """Judges the target of an HTTP request that may go through a proxy."""
        if not isinstance(data, (bytes, bytearray)) or not (head := _HEAD.match(data)):
            return
        target = head[1].decode("latin-1")
        if target.startswith("/"):
            named = _HOST.search(data)
            target = f"//{named[1].decode('latin-1')}" if named else ""
        elif "://" not in target:  # CONNECT host:port
            target = f"//{target}"
        parts = urlsplit(target)
        if parts.hostname:
            self.judge_host(parts.hostname, parts.port or (443 if parts.scheme == "https" else 80))


def resolve(host: str) -> list[Address]:
    """The addresses of a host name; empty if it has none."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_address(str(one[4][0])) for one in found]


def _endpoint(url: str) -> Allowed:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    usual = {"https": 443, "http": 80}.get(parts.scheme, 1080)
    entry = Allowed.parse(f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or "")
    entry.port = parts.port or usual
    return entry


def _judge_program(arguments: Any) -> None:
    """Programs (ffmpeg, a JavaScript runtime) get local files only: their connections are not seen."""
    texts = [arguments] if isinstance(arguments, (str, bytes)) else list(arguments or ())
    for text in texts:
        plain = text.decode(errors="replace") if isinstance(text, bytes) else str(text)
        if _REMOTE.search(plain):
            raise BlockedAddress("a program of its own would fetch a URL, out of reach of the limits")
