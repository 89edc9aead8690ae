"""Which addresses a fetching process reaches, and that nothing in it reaches others."""

from __future__ import annotations

import ipaddress
import subprocess
import sys

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
