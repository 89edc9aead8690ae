"""`python -m benchmarks NAME …`: runs benchmarks/NAME.py's `main` with the rest of the line."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

NAMES = sorted(
    path.stem for path in Path(__file__).parent.glob("[a-z]*.py") if "def main(arguments" in path.read_text()
)


def main() -> None:
    if sys.argv[1:2] and sys.argv[1] in NAMES:
        importlib.import_module(f"benchmarks.{sys.argv[1]}").main(sys.argv[2:])
        return
    sys.exit(f"usage: python -m benchmarks NAME …, NAME one of: {', '.join(NAMES)}")


if __name__ == "__main__":
    main()
