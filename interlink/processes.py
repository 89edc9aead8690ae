"""What child processes have in common: they run this installation's code, and they end with their parent."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time


def python_path() -> str:
    """The value of PYTHONPATH with which another interpreter imports the same modules as this one."""
    return os.pathsep.join(part for part in sys.path if part)


def die_with(parent: int) -> None:
    """Asks the kernel to kill us when the parent dies; a thread watches where the kernel cannot.

    The kernel counts the thread that started us as the parent: start children from a thread that stays.
    """
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None, use_errno=True).prctl(pr_set_pdeathsig, signal.SIGKILL)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
