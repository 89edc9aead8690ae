"""Which addresses a fetching process reaches, and that nothing in it reaches others."""

from __future__ import annotations

import ipaddress
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from interlink.fetch import guard
from interlink.fetch.guard import Allowed, BlockedAddress, Guard, is_public

ADDRESSES = {
    "8.8.8.8": True,
    "2606:4700::1111": True,
    "::ffff:8.8.8.8": True,
    "64:ff9b::808:808": True,
    "10.0.0.1": False,
    "127.0.0.1": False,
    "169.254.169.254": False,
    "100.100.100.200": False,
    "168.63.129.16": False,
    "192.0.0.192": False,
    "0.0.0.0": False,
    "224.0.0.1": False,
    "255.255.255.255": False,
    "::1": False,
    "::ffff:10.0.0.1": False,
    "64:ff9b::a00:1": False,
    "2002:a00:1::": False,
    "fec0::1": False,
    "fd00:ec2::254": False,
    "fe80::1": False,
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_only_addresses_of_the_public_internet_are_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text)) == ADDRESSES[text]


@pytest.mark.parametrize(
    ("entry", "reached", "refused"),
    [
        ("127.0.0.1", ("127.0.0.1", 80), ("127.0.0.2", 80)),
        ("127.0.0.1:81", ("127.0.0.1", 81), ("127.0.0.1", 80)),
        ("10.0.0.0/8", ("10.9.9.9", 80), ("11.0.0.1", 80)),
        ("[::1]:81", ("::1", 81), ("::1", 80)),
        ("localhost", ("127.0.0.1", 80), ("10.0.0.1", 80)),
    ],
)
def test_an_entry_allows_its_hosts_and_no_others(
    entry: str, reached: tuple[str, int], refused: tuple[str, int]
) -> None:
    allowed = Allowed.parse(entry)

    assert allowed.holds(ipaddress.ip_address(reached[0]), reached[1])
    assert not allowed.holds(ipaddress.ip_address(refused[0]), refused[1])


@pytest.mark.parametrize("text", ["", "a b", "http://a", "a/b", "*.a", "u@a", "a:b"])
def test_what_names_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        Allowed.parse(text)


def test_addresses_of_this_machine_are_internal_even_where_they_are_public() -> None:
    judge = Guard(own=["8.8.4.4"])

    judge.judge(ipaddress.ip_address("8.8.8.8"), 80)
    with pytest.raises(BlockedAddress):
        judge.judge(ipaddress.ip_address("8.8.4.4"), 80)


def sent(judge: Guard, head: bytes) -> bool:
    try:
        judge._hook("http.client.send", (None, head))
    except OSError:
        return False
    return True


def test_behind_a_proxy_the_targets_of_requests_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"internal.example": "10.0.0.1", "public.example": "8.8.8.8"}
    monkeypatch.setattr(
        guard, "resolve", lambda host: [ipaddress.ip_address(names.get(host, host))] if host != "nowhere" else []
    )
    judge = Guard(proxies=["http://203.0.113.9:3128"], only_proxy=True)

    assert sent(judge, b"GET http://public.example/x HTTP/1.1\r\nHost: public.example\r\n\r\n")
    assert sent(judge, b"CONNECT public.example:443 HTTP/1.1\r\n\r\n")
    assert sent(judge, b"the body of a request")
    assert not sent(judge, b"GET http://internal.example/x HTTP/1.1\r\n\r\n")
    assert not sent(judge, b"CONNECT internal.example:443 HTTP/1.1\r\n\r\n")
    assert not sent(judge, b"GET /x HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n")
    assert not sent(judge, b"GET http://nowhere/x HTTP/1.1\r\n\r\n")
    assert sent(Guard(), b"GET http://10.0.0.1/x HTTP/1.1\r\n\r\n"), "without a proxy the connection is judged"


SCRIPT = """
import socket, subprocess, sys, urllib.request
from interlink.fetch.guard import BlockedAddress, Guard

open_port = int(sys.argv[1])
Guard([f"127.0.0.1:{open_port}"]).install()

def refused(what, *arguments):
    try:
        what(*arguments)
    except BlockedAddress:
        return True
    except OSError as error:
        return isinstance(getattr(error, "reason", None), BlockedAddress)
    return False

def connect(address, family=socket.AF_INET):
    with socket.socket(family) as one:
        one.settimeout(1)
        one.connect(address)

connect(("127.0.0.1", open_port))
assert refused(connect, ("127.0.0.1", open_port + 1))
assert refused(connect, ("localhost", open_port + 1)), "a name that the system would resolve"
assert refused(connect, ("::1", 9, 0, 0), socket.AF_INET6)
assert refused(connect, "/run/docker.sock", socket.AF_UNIX)
assert refused(urllib.request.urlopen, f"http://127.0.0.1:{open_port + 1}/")
assert refused(socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto, b"x", ("127.0.0.1", 9))
assert refused(subprocess.run, ["echo", "-i", "http://127.0.0.1/x"])
subprocess.run(["true", "-i", "file:/x"], check=True)
print("held")
"""


@pytest.mark.processes
def test_an_installed_guard_holds_for_everything_in_its_process() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        command = [sys.executable, "-c", SCRIPT, str(server.getsockname()[1])]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.stdout == "held\n", ended.stderr


def connects(judge: Guard, host: str, port: int, family: int | None = None) -> bool:
    import socket

    kind = family or (socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        judge._hook("socket.connect", (SimpleNamespace(family=kind), (host, port)))
    except BlockedAddress:
        return False
    return True


@pytest.mark.parametrize(
    ("proxy", "port"),
    [
        ("http://203.0.113.9", 80),
        ("https://203.0.113.9", 443),
        ("http://203.0.113.9:3128", 3128),
        ("socks5://203.0.113.9", 1080),
        ("203.0.113.9:8", 8),
        ("203.0.113.9", 80),
        ("http://[::1]", 80),
        ("http://[::1]:99", 99),
    ],
)
def test_a_proxy_is_reached_at_its_port_whatever_its_address_and_nothing_else(proxy: str, port: int) -> None:
    host = "::1" if "::1" in proxy else "203.0.113.9"
    judge = Guard(proxies=[proxy], only_proxy=True, allow=["10.0.0.7:5"])
    assert connects(judge, host, port)
    assert not connects(judge, host, port + 1)
    assert not connects(judge, "8.8.8.8", 80)
    assert connects(judge, "10.0.0.7", 5)
    named = Guard(proxies=["http://localhost:3128"], only_proxy=True)
    assert connects(named, "127.0.0.1", 3128) and not connects(named, "127.0.0.1", 3129)
    open_too = Guard(proxies=[proxy])
    assert connects(open_too, "8.8.8.8", 80) and not connects(open_too, "10.0.0.7", 5)


def test_names_and_sockets_of_this_machine_are_refused_unless_they_are_allowed() -> None:
    import socket

    assert not connects(Guard(), "example.org", 80)
    assert not connects(Guard(), "x", 80, socket.AF_UNIX)
    assert connects(Guard(local_sockets=True), "x", 80, socket.AF_UNIX)
    assert connects(Guard(), "8.8.8.8", 80) and connects(Guard(), "2606:4700::1111", 80)
    assert connects(Guard(allow=["10.0.0.7"]), "::ffff:10.0.0.7", 5)


def test_datagrams_to_an_address_are_refused_and_those_of_a_connection_are_not() -> None:
    for event in ("socket.sendto", "socket.sendmsg"):
        with pytest.raises(BlockedAddress):
            Guard()._hook(event, (None, ("8.8.8.8", 53)))
        Guard()._hook(event, (None, None))
    Guard()._hook("open", ("x",))


@pytest.mark.parametrize(
    ("arguments", "refused"),
    [
        (["ffmpeg", "-i", "http://8.8.8.8/x"], True),
        ("ffmpeg -i rtmp://a/x", True),
        ([b"ffmpeg", b"https://a"], True),
        (b"ffmpeg concat:HLS+HTTP://a", True),
        (["ffmpeg", "-i", "file:/tmp/x"], False),
        (["ffmpeg", "-i", "file:///tmp/x"], False),
        (["ffmpeg", "-i", "x.mp4"], False),
        (None, False),
        ([], False),
    ],
)
def test_programs_get_local_files_only(arguments: Any, refused: bool) -> None:
    hook = Guard()._hook
    if refused:
        with pytest.raises(BlockedAddress):
            hook("subprocess.Popen", (None, arguments, None, None))
    else:
        hook("subprocess.Popen", (None, arguments, None, None))


def test_the_target_of_a_request_has_its_schemes_port(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Guard(proxies=["http://203.0.113.9"])
    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(judge, "judge_host", lambda host, port: asked.append((host, port)))
    for head in (
        b"GET http://a.example/x HTTP/1.1", b"GET https://b.example/x HTTP/1.1", b"CONNECT c.example:444 HTTP/1.1",
        b"GET http://d.example:81/x HTTP/1.1", b"POST /x HTTP/1.0\r\nAccept: x\r\nHOST:\t e.example:82\r\n",
        b"GET /x HTTP/1.1\r\n\r\n", b"get http://f.example/x HTTP/1.1",
    ):  # fmt: skip
        judge._hook("http.client.send", (None, head))
    judge._hook("http.client.send", (None, bytearray(b"GET http://g.example/ HTTP/1.1")))
    judge._hook("http.client.send", (None, "GET http://h.example/ HTTP/1.1"))
    assert asked == [
        ("a.example", 80), ("b.example", 443), ("c.example", 444), ("d.example", 81), ("e.example", 82),
        ("g.example", 80),
    ]  # fmt: skip


def test_every_address_of_a_host_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [ipaddress.ip_address("8.8.8.8"), ipaddress.ip_address("10.0.0.1")]
    monkeypatch.setattr(guard, "resolve", lambda host: found)
    with pytest.raises(BlockedAddress, match=r"10\.0\.0\.1 \(port 80\) is not a public address"):
        Guard().judge_host("a", 80)
    Guard(allow=["10.0.0.1:80"]).judge_host("a", 80)
    with pytest.raises(BlockedAddress):
        Guard(allow=["10.0.0.1:81"]).judge_host("a", 80)
    found.clear()
    with pytest.raises(OSError, match="cannot be resolved here"):
        Guard().judge_host("a", 80)


def test_an_allowed_name_is_resolved_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now, asked = [100.0], list[str]()

    def resolve(host: str) -> list[Any]:
        asked.append(host)
        return [ipaddress.ip_address("10.0.0.1")]

    monkeypatch.setattr(guard, "resolve", resolve)
    monkeypatch.setattr(guard.time, "monotonic", lambda: now[0])
    entry, inside = Allowed.parse("inside.example:5"), ipaddress.ip_address("10.0.0.1")
    assert (entry.host, entry.port, entry.networks, entry.resolved) == ("inside.example", 5, (), None)
    assert not entry.holds(inside, 6) and asked == []
    assert entry.holds(inside, 5)
    now[0] = 160.0
    assert entry.holds(inside, 5) and len(asked) == 1
    now[0] = 160.1
    assert entry.holds(inside, 5) and len(asked) == 2
    fixed = Allowed.parse("10.0.0.0/8")
    assert fixed.holds(inside, 1) and len(asked) == 2


def test_hosts_that_do_not_exist_have_no_address() -> None:
    assert guard.resolve("a" * 300) == []
    assert ipaddress.ip_address("127.0.0.1") in guard.resolve("127.0.0.1")
