"""Runs a program that ends with its parent process: `python -m interlink.fetch.leash PROGRAM ARGUMENT…`.

The parent holds the other end of standard input. When it closes, however the parent ended, the program and all its
children are killed; they must therefore be a separate process group (start_new_session).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading


def _hold() -> None:
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_hold, daemon=True).start()
    status = child.wait()
    sys.stdout.flush()
    os._exit(status if status >= 0 else 128 - status)
