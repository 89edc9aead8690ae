"""`interlink view`: opens builds, listens on this machine, and prints the address that holds the token."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

from interlink.engines.present import importing
from interlink.errors import UserError

PORT = 8321  # the same at every start, so that marks in the browser stay: they belong to the address
_TRIES = 20
_INSTALL = "pip install 'interlink[view]'"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    paths: Sequence[str],
    host: str = "127.0.0.1",
    port: int | None = None,
    tokenizer: str = "",
    started: Callable[[str, list[str]], None] | None = None,
) -> None:
    """Serves until it is interrupted. started: gets the address, and notes.

    Raises UserError where there is no build, the port is taken, or a package is missing.
    """
    with importing("interlink view", _INSTALL):
        import jinja2  # noqa: F401
        import starlette  # noqa: F401
        import uvicorn
    from interlink.report.view.app import application
    from interlink.report.view.security import new_token
    from interlink.report.view.site import open_site

    site = open_site(paths, tokenizer)
    listening = _listen(host, port)
    with listening:
        bound = int(listening.getsockname()[1])
        names = {*LOOPBACK, host} - {"0.0.0.0", "::"}
        hosts = frozenset(f"[{name}]:{bound}" if ":" in name else f"{name}:{bound}" for name in names)
        token = new_token()
        app = application(site, token, hosts, f"interlink_view_{bound}")
        site.follow()
        notes = (
            [] if host in LOOPBACK else [f"{host} is not this machine alone: who has the address can read the build"]
        )
        if started is not None:
            shown = f"[{host}]" if ":" in host else host
            started(f"http://{shown}:{bound}/?token={token}", notes)
        # Connections that a browser keeps open must not keep the process alive.
        config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int | None) -> socket.socket:
    """A socket on this port, or on the first free one from PORT on."""
    last: OSError | None = None
    for tried in [port] if port is not None else range(PORT, PORT + _TRIES):
        found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, tried))
            found.listen(64)
            return found
        except OSError as error:
            found.close()
            last = error
    raise UserError(
        f"cannot listen on {host}:{port or PORT}: {last}", "choose another with --port (0: any free one)", 2
    )
