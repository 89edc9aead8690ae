"""The sections of a training report that need no script: runs, time, exposure, samples, evaluations, recipes."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from cosmos_train.experiments.logged import Column
from cosmos_train.report.html import Html, duration, number, picture, section, table, tag, text
from cosmos_train.report.runs import Run, Sample

COLOURS = 10  # of runs; the next ten have the same with dashes
FOLDED = 6  # items of a list before the rest is folded away
SHOWN = 8  # captions of a sample before the rest is folded away

_SHARES = ("compute", "data", "optimiser", "save", "probe", "other")


def swatch(run: int) -> Html:
    dashed = " dashed" if run // COLOURS % 2 else ""
    return Html(f'<span class="swatch c{run % COLOURS}{dashed}" aria-hidden="true"></span>')


def named(number: int, run: Run) -> Html:
    return Html(f'<span class="run">{swatch(number)}<bdi>{text(run.name)}</bdi></span>')


def overview(runs: Sequence[Run]) -> Html:
    """The runs with their results; its boxes show and hide curves."""
    heads = (
        "run", "family", "steps", "samples", "time", "loss", "lowest loss", "samples/s", "MFU", "memory, GB",
    )  # fmt: skip
    rows = []
    for place, run in enumerate(runs):
        box = f'<label><input type="checkbox" checked data-run="{place}" autocomplete="off">{named(place, run)}</label>'
        steps = run.recipe.get("train.steps")
        lowest = _lowest(run.logged.columns.get("loss"))
        rows.append(
            (
                box,
                text(run.family or "–"),
                f"{run.last_step:,}" + (f" of {steps:,}" if isinstance(steps, int) else ""),
                number(run.last("samples") or _end(run, "samples")),
                duration(_end(run, "seconds")),
                number(run.last("loss")),
                f"{number(lowest[1])} <small>at {lowest[0]:,.0f}</small>" if lowest else "–",
                number(_rate(run), 3),
                f"{mfu:.1%}" if (mfu := run.last("mfu")) is not None else "–",
                number(run.last("memory_gigabytes"), 3),
            )
        )
    notes = [
        tag("li", named(place, run), " ", text(note)) for place, run in enumerate(runs) for note in run.notes
    ]  # fmt: skip
    bound = [
        tag("li", named(place, run), " ", text(run.logged.bottleneck))
        for place, run in enumerate(runs)
        if run.logged.bottleneck
    ]
    said = _folded("What bound them", bound, "notes") if bound else ""
    flags = _folded("Note", notes, "notes warn") if notes else ""
    every = "".join(
        tag("button", f"Show {one}", type="button", data_all="yes" if one == "all" else "no") for one in ("all", "none")
    )
    buttons = tag("p", every, class_="controls") if len(runs) > 2 else ""
    shown = table(heads, rows, "Runs", tight=True)
    return section("runs", "Runs", shown, buttons, flags, said, hint="Untick a run to hide its curves.")


def _folded(title: str, items: Sequence[Html], kind: str) -> Html:
    """A list with a heading; the end of a long one is folded away."""
    more = items[FOLDED:]
    rest = tag("details", tag("summary", f"{len(more)} more"), tag("ul", *more, class_=kind)) if more else ""
    return Html(tag("h3", title) + tag("ul", *items[:FOLDED], class_=kind) + rest)


def _lowest(column: Column | None) -> tuple[float, float] | None:
    """(step, value)."""
    steps, values = (column or Column()).finite()
    return (float(steps[values.argmin()]), float(values.min())) if len(values) else None


def _end(run: Run, axis: str) -> float | None:
    return run.axes[axis].values[-1] if axis in run.axes and len(run.axes[axis]) else None


def _rate(run: Run) -> float | None:
    """Samples per second over the whole run, saves and probes included; else the last window's."""
    samples, seconds = _end(run, "samples"), _end(run, "seconds")
    return samples / seconds if samples and seconds else run.last("samples_per_second")


def time(runs: Sequence[Run]) -> Html:
    """Where each run's time went, over all its windows."""
    bars = []
    rows = []
    for place, run in enumerate(runs):
        shares = time_shares(run)
        if not shares:
            continue
        names = [name for name in (*_SHARES, *sorted(shares.keys() - set(_SHARES))) if name in shares]
        parts = "".join(
            f'<rect class="s{_share(name)}" x="{100 * sum(shares[one] for one in names[:at]):.3f}" y="0" '
            f'width="{100 * shares[name]:.3f}" height="10"></rect>'
            for at, name in enumerate(names)
        )
        described = ", ".join(f"{name} {shares[name]:.1%}" for name in names)
        bars.append(
            f'<div class="bar">{named(place, run)}<svg viewBox="0 0 100 10" preserveAspectRatio="none" role="img" '
            f'aria-label="{text(f"{run.name}: {described}")}">{parts}</svg></div>'
        )
        rows.append((named(place, run), *(f"{shares[n]:.1%}" if n in shares else "–" for n in _SHARES)))
    if not rows:
        return Html("")
    heads = ["run", *(f'<span class="key s{_share(name)}"></span>{name}' for name in _SHARES)]
    return section(
        "time", "Where the time went", *bars, table(heads, rows, "Shares of the time", tight=True),
        hint="Shares of rank 0's time over the whole run.",
    )  # fmt: skip


def _share(name: str) -> int:
    return _SHARES.index(name) if name in _SHARES else len(_SHARES) - 1


def time_shares(run: Run) -> dict[str, float]:
    """Means of `time/…`, each window with its seconds as weight (its steps if seconds are unknown)."""
    found: dict[str, float] = {}
    axis = run.axes.get("seconds")
    for name, column in run.logged.columns.items():
        steps, values = column.finite()
        if not name.startswith("time/") or not len(steps):
            continue
        ends = np.interp(steps, *axis.arrays()) if axis else steps
        weights = np.maximum(np.diff(ends, prepend=0.0), 0.0)
        if weights.sum():
            found[name.removeprefix("time/")] = float((values * weights).sum() / weights.sum())
    return found


def exposure(runs: Sequence[Run]) -> Html:
    """Of mixtures: the planned and realised share of each source, and the passes over it."""
    rows = []
    for place, run in enumerate(runs):
        names = [name for name in run.logged.columns if name.startswith("exposure/") and name.endswith("/realised")]
        samples = _end(run, "samples")
        for name in names:
            source = name.removeprefix("exposure/").removesuffix("/realised")
            realised, planned = run.last(name), run.last(f"exposure/{source}/planned")
            passes = run.last(f"exposure/{source}/passes")
            seen = samples * realised if samples is not None and realised is not None else None
            rows.append(
                (
                    named(place, run), tag("bdi", text(source)), _bar(realised), _percent(realised), _percent(planned),
                    number(passes, 3), number(round(seen) if seen is not None else None),
                )
            )  # fmt: skip
    if not rows:
        return Html("")
    heads = ("run", "source", "share", "realised", "planned", "passes over it", "samples, about")
    return section("exposure", "Exposure", table(heads, rows, "Exposure by source"), hint="At the last logged step.")


def _bar(share: float | None) -> Html:
    if share is None:
        return Html("")
    return Html(
        f'<svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="rest" '
        f'width="100" height="10"></rect><rect class="s0" width="{100 * min(max(share, 0), 1):.2f}" height="10"></rect>'
        "</svg>"
    )


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"


def samples(runs: Sequence[Run]) -> Html:
    """Fixed held-out samples: what each run said of them at each probe."""
    found: dict[tuple[str, str, bytes | None], list[tuple[int, Sample]]] = {}
    for place, run in enumerate(runs):
        for sample in run.samples:
            found.setdefault((sample.key, sample.truth, sample.picture), []).append((place, sample))
    cards = []
    for (key, truth, jpeg), those in found.items():
        shown = picture(jpeg, f"Frame of {key}") if jpeg else Html('<p class="gone">picture is gone</p>')
        said = "".join(_captions(place, runs[place], sample) for place, sample in those)
        cards.append(
            f'<article class="sample">{shown}<div><p class="truth"><bdi>{text(truth)}</bdi></p>'
            f'<p class="hint"><bdi>{text(key)}</bdi></p>{said}</div></article>'
        )
    if not cards:
        return Html("")
    hint = "Captions of the same held-out samples at each probe of the run. The first line is the sample's own text."
    return section("samples", "Probe samples", tag("div", *cards, class_="samples"), hint=hint)


def _captions(place: int, run: Run, sample: Sample) -> Html:
    said = [tag("li", tag("b", f"{step:,}"), " ", tag("bdi", text(caption))) for step, caption in sample.said]
    if len(said) > SHOWN:  # the first, the last and those evenly between are seen at once
        chosen = sorted({round(n * (len(said) - 1) / (SHOWN - 1)) for n in range(SHOWN)})
        short = tag("ol", *(said[n] for n in chosen), class_="said")
        folded = tag("details", tag("summary", f"all {len(said)} steps"), tag("ol", *said, class_="said"))
        return Html(tag("p", named(place, run)) + short + folded)
    return Html(tag("p", named(place, run)) + tag("ol", *said, class_="said"))


def evaluations(runs: Sequence[Run]) -> Html:
    """A row per question, a column per run: its newest checkpoint's answer. Answers of all steps are folded away."""
    newest: dict[str, dict[int, Mapping[str, Any]]] = {}
    by_step: dict[str, dict[int, Mapping[str, Any]]] = {}
    for place, run in enumerate(runs):
        for one in run.evaluations:  # ascending by step
            newest.setdefault(_asked(one), {})[place] = one
            by_step.setdefault(f"{_asked(one)}{one['step']:020d}", {})[place] = one
    if not newest:
        return Html("")
    shown = _answers(runs, newest.values(), "Evaluations")
    if len(by_step) > len(newest):
        order = [by_step[key] for asked in newest for key in sorted(by_step) if key.startswith(asked)]
        shown += tag("details", tag("summary", "All steps"), _answers(runs, order, "Evaluations of all steps"))
    hint = (
        "Score ± standard error, and the 95 % interval; of each run's newest evaluated checkpoint. "
        "Bold: its interval is above those of all other runs."
    )
    return section("evaluations", "Evaluations", shown, hint=hint)


def _answers(runs: Sequence[Run], rows: Iterable[Mapping[int, Mapping[str, Any]]], caption: str) -> str:
    heads = ["task", "measure", *(named(n, run) for n, run in enumerate(runs)), "chance", "examples", "asked"]
    cells = []
    for answers in rows:
        one, best = next(iter(answers.values())), _best(answers)
        cells.append(
            (
                text(one["task"]), text(one["measure"]),
                *(_answer(answers.get(place), place == best) for place in range(len(runs))),
                _score(one, "chance"), number(_float(one.get("examples"))), _conditions(one),
            )
        )  # fmt: skip
    return table(heads, cells, caption)


def _asked(one: Mapping[str, Any]) -> str:
    names = ("task", "measure", "shots", "split", "part", "protocol", "settings", "data")
    return json.dumps([one.get(name) for name in names], sort_keys=True, default=str)


def _conditions(one: Mapping[str, Any]) -> Html:
    protocol = one.get("protocol")
    name = protocol.get("name", "") if isinstance(protocol, Mapping) else ""
    shots = one.get("shots")
    listed = one.get("settings")
    settings = [str(setting) for setting in listed] if isinstance(listed, list) else []
    parts = [
        f"{shots} shots" if shots is not None else "", str(one.get("split") or ""), str(one.get("part") or ""),
        f"protocol {name}" if name else "", *settings,
    ]  # fmt: skip
    return text(", ".join(part for part in parts if part))


def _best(answers: Mapping[int, Mapping[str, Any]]) -> int | None:
    """The run with an interval above those of all others, if higher is better: of losses there is none."""
    known = {place: _interval(one) for place, one in answers.items() if "loss" not in one["measure"]}
    found = {place: interval for place, interval in known.items() if interval is not None}
    if len(found) < 2 or len(found) < len(answers):
        return None
    first = max(found, key=lambda place: found[place][0])
    return first if all(high < found[first][0] for place, (_, high) in found.items() if place != first) else None


def _interval(one: Mapping[str, Any]) -> tuple[float, float] | None:
    listed = one.get("interval")
    ends = [_float(end) for end in listed] if isinstance(listed, list) else []
    low, high = ends if len(ends) == 2 else (None, None)
    return (low, high) if low is not None and high is not None else None


def _answer(one: Mapping[str, Any] | None, best: bool) -> Html:
    if one is None:
        return Html("–")
    error, interval, shuffled = _float(one.get("error")), _interval(one), _float(one.get("shuffled"))
    kind = "strong" if best else "span"
    small = [
        f"{number(interval[0], 3)} to {number(interval[1], 3)}" if interval else "",
        f"shuffled {number(shuffled, 3)}" if shuffled is not None else "",
        f"step {one['step']:,}",
    ]
    said: str = tag(kind, _score(one, "score"), f" ± {number(error, 2)}" if error else "", class_="once")
    said += "".join(tag("small", part) for part in small if part)
    warning = tag("small", text(one["warning"]), class_="warn") if one.get("warning") else ""
    return Html(said + warning)


def _score(one: Mapping[str, Any], name: str) -> str:
    value = _float(one.get(name))
    unit = " %" if one.get("unit") == "%" else ""
    return f"{value:.2f}{unit}" if value is not None and unit else number(value, 3)


def _float(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def recipes(runs: Sequence[Run]) -> Html:
    """The settings that differ; all of them folded away."""
    known = [(place, run) for place, run in enumerate(runs) if run.recipe]
    if not known:
        return Html("")
    keys = list(dict.fromkeys(key for _, run in known for key in run.recipe))
    missing = object()
    first = known[0][1].recipe
    different = [k for k in keys if any(run.recipe.get(k, missing) != first.get(k, missing) for _, run in known)]
    heads = ["key", *(named(place, run) for place, run in known)]

    def row(key: str) -> tuple[str, ...]:
        cells = (text(_value(run.recipe[key])) if key in run.recipe else "–" for _, run in known)
        return (tag("code", text(key)), *cells)

    same = len(keys) - len(different)
    shown: str = table(heads, [row(key) for key in different], "Settings that differ") if different else ""
    if len(known) > 1:
        said = (
            f"{same} of {len(keys)} settings are the same in all runs." if different else "All settings are the same."
        )
    else:
        said = f"{len(keys)} settings."
        shown = ""
    whole = tag("details", tag("summary", "All settings"), table(heads, [row(key) for key in keys], "All settings"))
    title = "Recipe differences" if len(known) > 1 else "Recipe"
    return section("recipe", title, shown, whole, hint=said)


def _value(value: object) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False, default=str)


def every_number(runs: Sequence[Run]) -> Html:
    """Last, lowest and highest value of each number: for those who read, not look."""
    names = dict.fromkeys(name for run in runs for name in run.logged.columns)
    rows = []
    for name in names:
        cells = []
        for run in runs:
            _, values = run.logged.columns.get(name, Column()).finite()
            cells.append(
                f"{number(values[-1], 5)}<small>{number(values.min(), 3)} to {number(values.max(), 3)}</small>"
                if len(values)
                else "–"
            )
        rows.append((tag("code", text(name)), *cells))
    if not rows:
        return Html("")
    heads = ["number", *(named(place, run) for place, run in enumerate(runs))]
    folded = tag("details", tag("summary", "Table of all numbers"), table(heads, rows, "All numbers"))
    return section("numbers", "All numbers", folded, hint="The last value; below it the lowest and the highest.")
