"""Runs third-party programs on a release: `make test-clients`, or `python tests/clients NAME…`.

Each client is a script `NAME_client.py` in this folder. Its lines `# requires: PACKAGE==VERSION` pin what it needs, and
`# source: URL COMMIT [FOLDER]` names a git repository for programs that are in no registry (FOLDER in it is imported
from). The script runs in an environment of its own below `.clients`, gets the folder of a release, and asserts counts,
pixels and texts with the client's own code. Needs a network the first time; not part of the suite.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
WORK = ROOT / ".clients"
SUFFIX = "_client.py"  # a script named like a package would hide it
NAMES = sorted(path.name.removesuffix(SUFFIX) for path in HERE.glob(f"*{SUFFIX}"))
VIDEO = "moving.mp4"  # the video file of every clip of the release; scripts find it in their folder


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
        constraints = ROOT / "constraints.txt"  # torch for the CPU
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-c", constraints, *pins], check=True)
        made.write_text("\n".join(pins))
    return python


def source(script: Path) -> Path | None:
    """The folder to import a client's repository from, fetched if it is not there; None if a script names none."""
    found = re.search(r"^# source: (\S+) ([0-9a-f]{40})(?: (\S+))?$", script.read_text(), re.MULTILINE)
    if found is None:
        return None
    url, commit, folder = found.groups()
    target = WORK / "sources" / f"{url.rpartition('/')[2]}-{commit[:12]}"
    if not (target / ".git" / "fetched").is_file():
        subprocess.run(["git", "init", "--quiet", target], check=True)
        subprocess.run(["git", "-C", target, "fetch", "--quiet", "--depth", "1", url, commit], check=True)
        subprocess.run(["git", "-C", target, "checkout", "--quiet", "FETCH_HEAD"], check=True)
        (target / ".git" / "fetched").touch()
    return target / (folder or "")


def film() -> bytes:
    """One second of a brightening picture, H.264 in MP4."""
    import io

    import av
    import numpy as np

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(16):
            picture = np.full((48, 64, 3), 15 * number, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def release() -> Path:
    """A release of twelve documents with three clips of two pictures and a video file each, in every format."""
    import shutil

    sys.path[:0] = [str(ROOT / "tests" / "support"), str(ROOT)]
    from interlink.storage import Storage
    from releasing import filmed, make, put, simple

    for folder in ("release", "root", "next"):
        shutil.rmtree(WORK / folder, ignore_errors=True)
    moving = film()
    documents = [filmed(simple(number, clips=3), data=moving) for number in range(12)]
    (WORK / "root").mkdir(parents=True)
    (WORK / VIDEO).write_bytes(moving)
    root = put(Storage(str(WORK / "root")), documents)
    make(root, WORK / "release", val_share=0.3, published="2026-01-31")
    options = {"llava-video": {"placeholder": "image"}}
    make(root, WORK / "next", "llava-video", val_share=0.3, options=options)  # as LLaVA-NeXT reads videos
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
            imported = source(script)
            paths = {"PYTHONPATH": str(imported)} if imported else {}
            own = {"HF_HOME": str(WORK / "cache"), "MODELSCOPE_CACHE": str(WORK / "cache")}
            clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
            subprocess.run([python, script, out], check=True, cwd=WORK, env={**clean, **own, **paths})
        except subprocess.CalledProcessError as error:
            failed.append(name)
            print(f"{name}: exit code {error.returncode}", file=sys.stderr)
        else:
            print(f"{name}: ok")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
