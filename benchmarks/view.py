"""How fast `interlink view` answers over many documents, next to DuckDB on the raw tables.

    python -m benchmarks view --documents 100000

Makes a synthetic root (benchmarks/synthetic.py) below --root unless it is there, its catalogue from scratch and after a
change of one partition, and times the overview, a page of documents and a recount, warm, the least of several runs.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import synthetic
from interlink.report.view.catalogue import Catalogue, update
from interlink.report.view.query import Asked, Finder
from interlink.report.view.recount import Names, Recount, recount
from interlink.runtime.workspace import Workspace
from interlink.storage import Storage

FILTERS = {"sharpness": 60.0, "darkest": 0.2, "brightest": 0.8, "tokens": 12, "similarity": 0.22}
TOKENS, CLIPS, PAGE = (140.0, 190.0), 7.0, 24
RUNS = 5


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks view", description=__doc__.splitlines()[0])
    parser.add_argument("--documents", type=int, default=100_000)
    parser.add_argument("--root", type=Path, help="where the synthetic root is, or goes [default: a temporary folder]")
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        root = chosen.root or Path(folder) / "root"
        found: dict[str, Any] = {}
        if not (root / "recipe.lock.json").exists():
            found["making the root, s"], _ = _timed(lambda: synthetic.make(root, chosen.documents))
        found |= measure(root)
    if chosen.json:
        print(json.dumps(found, indent=1))
        return
    for name, value in found.items():
        print(f"{name:<44} {value:,.2f}" if isinstance(value, float) else f"{name:<44} {value:,}")


def measure(root: Path) -> dict[str, Any]:
    """All measurements over one root."""
    workspace = Workspace(Storage(str(root)))
    shutil.rmtree(root / "view", ignore_errors=True)
    found: dict[str, Any] = {}
    began = time.process_time()
    found["catalogue from scratch, s"], catalogue = _timed(lambda: update(workspace))
    found["catalogue from scratch, s of CPU"] = time.process_time() - began  # tells more where other work runs
    found["catalogue, MB"] = sum(path.stat().st_size for path in catalogue.folder.iterdir()) / 1e6
    found["documents"], found["clips"] = len(catalogue.docs["number"]), len(catalogue.clips["item"])
    found["catalogue, nothing new, s"], _ = _timed(lambda: update(workspace))
    found["catalogue after one partition changed, s"] = _incremental(root, workspace)
    catalogue = update(workspace)
    found["overview, ms"] = 1000 * _overview(root)
    finder = Finder(catalogue)
    asked = Asked(sort="tokens", ranges={"tokens": TOKENS, "clips": (CLIPS, None)})
    found["page of documents, ms"], page = _least(lambda: finder.page(asked, PAGE))
    found["search for two words, ms"], _ = _least(lambda: finder.page(Asked(q="the* a*", sort="sharpness"), PAGE))
    settings, names = synthetic.settings_of(**FILTERS), Names()
    found["recount under 5 thresholds, ms"], count = _least(lambda: recount(catalogue.clips, settings, names))
    return found | _duckdb(root, page.total, count, found)


def _incremental(root: Path, workspace: Workspace) -> float:
    """Renames the rows of one partition, as a build that made them again would."""
    summary = next(iter((root / "tables" / "keyframes").glob("*/*/summary.json")))
    about = json.loads(summary.read_text())
    new = about["rows"].replace("rows-", "rows-again-")
    (summary.parent / about["rows"]).rename(summary.parent / new)
    summary.write_text(json.dumps({**about, "rows": new}))
    seconds, _ = _timed(lambda: update(workspace))
    return seconds


def _overview(root: Path) -> float:
    """Seconds from the paths to the HTML of the first page, with a catalogue that is there."""
    from interlink.report.view.render import environment
    from interlink.report.view.site import open_site

    environment()

    def first() -> Catalogue:
        site = open_site([str(root)])
        assert site.first.looked is not None
        return site.first.looked.catalogue

    seconds, catalogue = _timed(first)
    again, _ = _timed(
        lambda: [catalogue.meta(name) for name in ("status", "stops", "clip_histograms", "doc_histograms")]
    )
    return seconds + again


def _duckdb(root: Path, documents: int, count: Recount, found: dict[str, Any]) -> dict[str, Any]:
    """The same page and recount by DuckDB on the Parquet files, and how many times faster the catalogue is."""
    try:
        import duckdb
    except ImportError:
        return {}
    tables = {name: f"read_parquet('{root}/tables/{name}/*/*/rows-*.parquet')" for name in synthetic.STAGES}
    page = f"""
        WITH d AS (SELECT unnest(documents) AS d FROM {tables["interleave"]}),
        f AS (SELECT d.key AS key, d.text_tokens AS tokens FROM d
              WHERE d.text_tokens BETWEEN {TOKENS[0]} AND {TOKENS[1]} AND d.clips >= {CLIPS})
        SELECT key, tokens, (SELECT count(*) FROM f) FROM f ORDER BY tokens DESC LIMIT {PAGE}"""
    clips = f"""
        WITH k AS (SELECT id, unnest(clips) AS c, generate_subscripts(clips, 1) - 1 AS n FROM {tables["keyframes"]}),
        s AS (SELECT id, unnest(clips) AS s FROM {tables["score"]}),
        j AS (SELECT id, unnest(judged) AS j FROM {tables["interleave"]}),
        kept AS (SELECT k.id AS id, count(*) AS clips FROM k JOIN s ON k.id = s.id AND k.n = s.s.clip
              JOIN j ON k.id = j.id AND k.n = j.j.clip
              WHERE k.c.sharpness >= {FILTERS["sharpness"]} AND k.c.light >= {FILTERS["darkest"]}
              AND k.c.light <= {FILTERS["brightest"]} AND j.j.tokens >= {FILTERS["tokens"]}
              AND s.s.similarity >= {FILTERS["similarity"]} GROUP BY 1)
        SELECT sum(clips), sum(ceil(clips / 8)), count(*) FROM kept"""
    connection = duckdb.connect()
    pages, rows = _least(lambda: connection.execute(page).fetchall())
    counts, sums = _least(lambda: connection.execute(clips).fetchone())
    assert rows[0][2] == documents, (rows[0], documents)
    assert [int(value) for value in sums] == [count.clips, count.documents, count.videos], (sums, count)
    return {
        "DuckDB: page of documents, ms": pages,
        "DuckDB: recount under 5 thresholds, ms": counts,
        "times faster: page": pages / found["page of documents, ms"],
        "times faster: recount": counts / found["recount under 5 thresholds, ms"],
    }


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found


def _least(call: Callable[[], Any]) -> tuple[float, Any]:
    """(milliseconds, result) of the fastest of some runs, after one that is not counted."""
    found = call()
    return 1000 * min(_timed(call)[0] for _ in range(RUNS)), found
