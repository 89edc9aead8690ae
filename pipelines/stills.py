"""Shards of the sample world's pictures with long captions: `python pipelines/stills.py OUT --documents 1500`.

What `cosmos_train` is compared on (docs/cosmos.md): OUT/train and OUT/heldout. About 10 s.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from interlink.sample import stills

_HELDOUT = 240


def main() -> None:
    """Writes what is not there yet."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--documents", type=int, default=1500, help="documents to train on")
    options = parser.parse_args()
    for split, documents in (("train", options.documents), ("heldout", _HELDOUT)):
        if not (options.out / split).exists():
            print(stills.write(options.out / split, documents, 0, split))


if __name__ == "__main__":
    main()
