"""The hosts that the fetching processes of a build may reach, as settings of interlink.fetch.guard."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Sequence
from typing import Any

import psutil


def reach(allow_hosts: Sequence[str], proxy: str | None) -> dict[str, Any]:
    """The arguments of a Guard. proxy: a URL, "" for none, None for the environment's."""
    if proxy is not None:
        proxies = [proxy] if proxy else []
    else:
        proxies = [url for name, url in urllib.request.getproxies().items() if name != "no"]
    return {
        "allow": list(allow_hosts),
        "proxies": proxies,
        "only_proxy": bool(proxy),
        "own": own_addresses(),
    }


def own_addresses() -> list[str]:
    """The addresses of this machine."""
    found = (one for many in psutil.net_if_addrs().values() for one in many)
    return sorted({one.address.partition("%")[0] for one in found if one.family in (socket.AF_INET, socket.AF_INET6)})
