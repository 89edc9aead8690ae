"""Runs third-party programs on a release: `make test-clients`, or `python tests/clients NAME…`.

Each client is a script `NAME_client.py` in this folder. Its lines `# requires: PACKAGE==VERSION` pin what it needs; the
script runs in an environment of its own below `.clients`, gets the folder of a release, and asserts counts, pixels and
texts with the client's own code. Needs a network the first time; not part of the suite.
"""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
WORK = ROOT / ".clients"
SUFFIX = "_client.py"  # a script named like a package would hide it
NAMES = sorted(path.name.removesuffix(SUFFIX) for path in HERE.glob(f"*{SUFFIX}"))


def requirements(script: Path) -> list[str]:
    """The pins in a script, in order."""
    return re.findall(r"^# requires: (\S+)$", script.read_text(), re.MULTILINE)


def environment(name: str, pins: list[str]) -> Path:
    """The interpreter of a client's environment, made if it is not there with these pins."""
    folder = WORK / name
    made = folder / "pins.txt"
    python = folder / "bin" / "python"
    if not made.is_file() or made.read_text().split() != pins:
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *pins], check=True)
        made.write_text("\n".join(pins))
    return python


def release() -> Path:
    """A release of twelve documents with three clips of two pictures and a video file each, in every format."""
    import shutil

    sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT)]
    from interlink.storage import Storage
    from releasing import filmed, make, put, simple

    shutil.rmtree(WORK / "release", ignore_errors=True)
    shutil.rmtree(WORK / "root", ignore_errors=True)
    documents = [filmed(simple(number, clips=3)) for number in range(12)]
    make(put(Storage(str(WORK / "root")), documents), WORK / "release", val_share=0.3, published="2026-01-31")
    return WORK / "release"


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no client {unknown[0]!r}; clients: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    out, failed = release(), []
    for name in names or NAMES:
        script = HERE / f"{name}{SUFFIX}"
        try:
            python = environment(name, requirements(script))
            subprocess.run([python, script, out], check=True, cwd=WORK)
        except subprocess.CalledProcessError as error:
            failed.append(name)
            print(f"{name}: exit code {error.returncode}", file=sys.stderr)
        else:
            print(f"{name}: ok")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
