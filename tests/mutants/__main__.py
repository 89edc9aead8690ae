"""`make mutants`: plants single faults, one by one, and runs the tests of their module. A fault that they pass is a
survivor: a hole in the tests, or an equivalent change (then it is listed in equivalent.yaml with the reason).

    python tests/mutants [MODULE …] [--each 12] [--seed 0] [--jobs 2] [--minutes 60]

modules.yaml says which tests belong to a module. Each job has a copy of the repository of its own.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import Queue

import yaml

sys.path.insert(0, str(Path(__file__).parent))
from faults import Fault, faults

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


@dataclass(frozen=True)
class Planted:
    """module: path in the repository; tests: paths of its tests."""

    module: str
    fault: Fault
    tests: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """outcome: noticed, survived, equivalent, or timed out (which counts as noticed)."""

    planted: Planted
    outcome: str


def main() -> int:
    arguments = _arguments()
    table: dict[str, list[str]] = yaml.safe_load((HERE / "modules.yaml").read_text())
    known: dict[str, dict[str, str]] = yaml.safe_load((HERE / "equivalent.yaml").read_text()) or {}
    chosen = [name for name in table if not arguments.modules or any(part in name for part in arguments.modules)]
    planted = [one for module in chosen for one in _plant(module, table[module], arguments.each, arguments.seed)]
    random.Random(arguments.seed).shuffle(planted)  # a run that ends early has seen some of every module
    verdicts = _run(planted, known, arguments.jobs, time.monotonic() + 60 * arguments.minutes)
    _report(chosen, verdicts, len(planted))
    return int(any(verdict.outcome == "survived" for verdict in verdicts))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="mutants", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("modules", nargs="*", help="parts of module paths; without them all of modules.yaml")
    parser.add_argument("--each", type=int, default=12, help="most faults of a module, drawn by the seed; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=60.0, help="no new fault is planted after this")
    return parser.parse_args()


def _plant(module: str, tests: Sequence[str], each: int, seed: int) -> list[Planted]:
    found = faults((ROOT / module).read_text())
    if each and len(found) > each:
        found = random.Random(f"{seed} {module}").sample(found, each)
    return [Planted(module, fault, tuple(tests)) for fault in found]


def _run(planted: list[Planted], known: dict[str, dict[str, str]], jobs: int, until: float) -> list[Verdict]:
    benches: Queue[_Bench] = Queue()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for number in range(jobs):
            benches.put(_Bench(Path(folder) / str(number)))

        def judge(one: Planted) -> Verdict | None:
            if time.monotonic() > until:
                return None
            if one.fault.what in known.get(one.module, {}):
                return Verdict(one, "equivalent")
            bench = benches.get()
            try:
                verdict = Verdict(one, bench.judge(one))
            finally:
                benches.put(bench)
            print(f"{verdict.outcome:<9} {one.module}:{one.fault.line} {one.fault.what}", flush=True)
            return verdict

        try:
            with ThreadPoolExecutor(jobs) as pool:
                return [verdict for verdict in pool.map(judge, planted) if verdict is not None]
        finally:
            while not benches.empty():
                benches.get().close()


def _copy(target: Path) -> Path:
    """The tracked files and those that git does not ignore, and a link to shared/ where tests expect it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (target / "repo" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / "repo" / name)
    if (ROOT.parent / "shared").exists():
        (target / "shared").symlink_to((ROOT.parent / "shared").resolve())
    return target / "repo"


class _Bench:
    """A copy of the repository and the process that runs tests in it."""

    def __init__(self, folder: Path) -> None:
        self.copy = _copy(folder)
        environment = {
            **os.environ, "PYTHONPATH": str(self.copy), "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1",
            "MUTANTS_LISTING": str(folder / "modules"), "OMP_NUM_THREADS": "1",
        }  # fmt: skip
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "worker.py")],
            cwd=self.copy, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._sound: set[str] = set()

    def judge(self, one: Planted) -> str:
        tests = " ".join(one.tests)
        if tests not in self._sound:
            if (answer := self._ask(tests)) != "passed":
                raise SystemExit(f"the tests of {one.module} have {answer} without any fault: {tests}")
            self._sound.add(tests)
        path = self.copy / one.module
        source = path.read_text()
        path.write_text(one.fault.applied(source))
        try:
            return {"passed": "survived", "failed": "noticed"}.get(answer := self._ask(tests), answer)
        finally:
            path.write_text(source)

    def _ask(self, tests: str) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        print(tests, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def _report(modules: Sequence[str], verdicts: Sequence[Verdict], planted: int) -> None:
    print(f"\n{'module':<52}{'planted':>8}{'noticed':>8}{'equal':>7}{'left':>6}{'share':>8}")
    total: Counter[str] = Counter()
    for module in modules:
        count = Counter(verdict.outcome for verdict in verdicts if verdict.planted.module == module)
        total += count
        print(_line(module, count))
    print(_line("all", total))
    if len(verdicts) < planted:
        print(f"{planted - len(verdicts)} of {planted} faults were not planted: the time was up")


def _line(name: str, count: Counter[str]) -> str:
    noticed, equal, left = count["noticed"] + count["timed out"], count["equivalent"], count["survived"]
    share = f"{noticed / (noticed + left):.0%}" if noticed + left else ""
    return f"{name:<52}{noticed + equal + left:>8}{noticed:>8}{equal:>7}{left:>6}{share:>8}"


if __name__ == "__main__":
    sys.exit(main())
