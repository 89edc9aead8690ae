"""Shards of the sample world's pictures with long captions: `python pipelines/stills.py OUT --documents 1500`.

What `cosmos_train` is compared on (docs/explanation/cosmos.md): OUT/train and OUT/heldout. 10 to 20 s.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from interlink.sample import stills, subject

_HELDOUT = 240


def main() -> None:
    """Writes what is not there yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, default=1500, help="documents to train on")
    parser.add_argument(
        "--scene", choices=("corner", "subject"), default="corner",
        help="an act and a small thing in a corner, both in the caption; or several things, one in every caption",
    )  # fmt: skip
    parser.add_argument(
        "--coloured", type=float, default=0.0, help="of a subject's clutter the share that has a colour, 0 to 1"
    )
    options = parser.parse_args()
    if options.coloured and options.scene == "corner":
        parser.error("--coloured goes with --scene subject")
    if not 0 <= options.coloured <= 1:
        parser.error("--coloured is a share, 0 to 1")
    staging = stills.CORNER if options.scene == "corner" else subject.staging(options.coloured)
    for split, documents in (("train", options.documents), ("heldout", _HELDOUT)):
        if not (options.out / split).exists():
            print(stills.write(options.out / split, documents, 0, split, staging))


if __name__ == "__main__":
    main()
