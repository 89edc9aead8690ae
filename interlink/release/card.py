"""The dataset card of a release: README.md as the Hugging Face hub shows it.

It contains only counts and settings: no randomness, no clock.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Any

import yaml

from interlink.markdown import escaped, hub_licence, table
from interlink.release.about import About, Description
from interlink.release.croissant import count_of, general, keywords
from interlink.release.statistics import Distribution, by_frequency

BAR = 40  # length of the longest bar, characters
BINS = 12
# Size categories of the Hub (huggingface.co/docs/hub).
_BANDS = ("1K", "10K", "100K", "1M", "10M", "100M", "1B", "10B", "100B", "1T")
_RECIPE = """python -c "import json; print(json.dumps(json.load(open('recipe.lock.json'))['recipe']))\""""
_ON_REQUEST = re.compile(r"opt(ed)?_?out|take_?down|taken_?down|tombstone|robots")


def card(about: About) -> str:
    """The whole text."""
    parts = [
        _front_matter(about),
        f"# {escaped(about.settings.name)}",
        escaped(about.settings.description or general(about.statistics)),
        _contents(about),
        _funnel(about.stages),
        _distributions(about),
        _samples(about),
        _models(about),
        _use(about),
        _licences(about),
        _commands(about),
        f"## Citation\n\n```\n{about.settings.citation.strip()}\n```" if about.settings.citation.strip() else "",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def histogram(distribution: Distribution, unit: str) -> str:
    """A text histogram: one line per bin, after a line with mean and quantiles."""
    lines = [
        f"mean {distribution.mean:.1f}   median {_plain(distribution.quantile(0.5))}   "
        f"5 % {_plain(distribution.quantile(0.05))}   95 % {_plain(distribution.quantile(0.95))}   {unit}"
    ]
    bins = distribution.bins(BINS)
    longest = max((count for _, _, count in bins), default=0)
    for low, high, count in bins:
        bar = "█" * round(BAR * count / longest) or ("▏" if count else "")
        span = _plain(low) if high - low == 1 else f"{_plain(low)} – {_plain(high)}"
        lines.append(f"{span:>15}  {bar:<{BAR}}  {count:,}")
    return "\n".join(lines)


def _plain(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _front_matter(about: About) -> str:
    settings, total = about.settings, about.statistics.total
    openable = _openable(about.formats)
    configs: list[dict[str, Any]] = []
    for name, one in openable.items():
        files = [{"split": _hub(split), "path": path} for split, path in one.globs.items()]
        default = {"default": True} if one.default or len(openable) == 1 else {}
        configs.append({"config_name": name, "data_files": files, **default})
    content: dict[str, Any] = {
        "pretty_name": settings.name,
        **hub_licence(settings.licence),
        "task_categories": ["image-text-to-text", "image-to-text"],
        "tags": [*keywords(about.statistics), "webdataset", "interlink"],
        "size_categories": [size_band(total)],
        **({"configs": configs} if configs else {}),
    }
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True)}---"


def _openable(formats: Mapping[str, Description]) -> dict[str, Description]:
    """The formats that `datasets` opens, all of one file type: it has one loader for all configurations of a folder."""
    for kind in (".parquet", ".tar", ".tsv"):
        found = {
            name: one
            for name, one in formats.items()
            if one.globs and all(path.endswith(kind) for path in one.globs.values())
        }
        if found:
            return found
    return {}


def _how_to_open(formats: Mapping[str, Description]) -> str:
    """Configurations of the card, and a line for each format that is none."""
    openable = _openable(formats)
    lines = [f'- `{name}`: `load_dataset(FOLDER, "{name}")`' for name in openable]
    lines += [f"- `{name}`: {one.loader}" for name, one in formats.items() if name not in openable and one.loader]
    if not lines:
        return ""
    intro = "`datasets` opens the configurations of a folder, or of the dataset's id on the Hub, with one loader. For "
    return "\n".join([f"{intro}other formats, name the loader:", "", *lines])


def size_band(total: int) -> str:
    """The Hub's name for a number of records: `n<1K`, `1K<n<10K`, … `n>1T`."""
    place = min(max(0, len(str(total)) - 3), len(_BANDS))
    if not place:
        return f"n<{_BANDS[0]}"
    return f"{_BANDS[place - 1]}<n<{_BANDS[place]}" if place < len(_BANDS) else f"n>{_BANDS[-1]}"


def _hub(split: str) -> str:
    return "validation" if split == "val" else split


def _contents(about: About) -> str:
    statistics = about.statistics
    splits = ", ".join(f"{count:,} {split}" for split, count in sorted(statistics.documents.items()))
    clips = statistics.clips_per_document
    lines = [
        "## What is here",
        f"{count_of(statistics.total, 'document')} ({splits}) from "
        f"{count_of(len(statistics.videos), statistics.thing)}; "
        f"{count_of(round(clips.mean * clips.count), 'clip')}, {count_of(statistics.images, 'image')}, "
        f"{count_of(statistics.text_tokens, 'token')} "
        "(words and punctuation marks). "
        f"A {statistics.thing}'s documents are all in one split, drawn by a keyed hash of its id "
        f"(seed {about.settings.seed}, {about.settings.val_share:.0%} val).",
        table(
            ("folder", "holds", "records"),
            [
                (f"`{name}/`", one.about, ", ".join(f"{s} {n:,}" for s, n in sorted(one.records.items())))
                for name, one in about.formats.items()
            ],
        ),
        "\n".join(f"- {escaped(note)}." for note in about.notes()),
        _how_to_open(about.formats),
        "`SHA256SUMS` has the sum of every file (`sha256sum -c SHA256SUMS`), `RELEASE.json` the counts and choices, "
        "`recipe.lock.json` everything that shaped the build, `croissant.json` the description for machines.",
    ]
    return "\n\n".join(line for line in lines if line)


def _funnel(stages: Mapping[str, Mapping[str, Any]]) -> str:
    rows = []
    for name, stage in stages.items():
        why = {**stage["reasons"], **stage["errors"]}
        why |= stage.get("lost", {})
        why_text = ", ".join(f"{escaped(reason)} {count:,}" for reason, count in by_frequency(why).items())
        rows.append((name, *(f"{stage[key]:,}" for key in ("ok", "partial", "dropped", "failed", "pending")), why_text))
    return "\n\n".join(
        (
            "## From the source to the documents",
            "Rows by outcome at every stage of the build; `partial` are among the ok, and lost a part.",
            table(("stage", "ok", "partial", "dropped", "failed", "pending", "why"), rows),
        )
    )


def _distributions(about: About) -> str:
    statistics = about.statistics
    plots = (
        ("Clips per document", statistics.clips_per_document, "clips"),
        ("Tokens per clip", statistics.tokens_per_clip, "tokens of a clip's text"),
        ("Clip length", statistics.clip_seconds, "seconds"),
        ("Images per document", statistics.images_per_document, "images"),
    )
    sections = [f"### {title}\n\n```\n{histogram(values, unit)}\n```" for title, values, unit in plots]
    roles = ", ".join(f"{escaped(role)} {count:,}" for role, count in by_frequency(statistics.roles).items())
    return "\n\n".join(["## Distributions", *sections, f"Text segments by role: {roles or 'none'}."])


def _samples(about: About) -> str:
    if not about.shown:
        return ""
    shown = [f"**{key}**\n\n![document {key}]({path})" for key, path in about.shown]
    return "\n\n".join(["## Sample documents", "The first of the release, not picked.", *shown])


def _models(about: About) -> str:
    rows = [
        (stage, f"`{escaped(model)}`", f"{count:,}")
        for (stage, model), count in sorted(about.statistics.models.items())
        if model != "none"  # the stage is in the recipe, but did not use a model
    ]
    prompts = [
        f"{stage} `{escaped(prompt)}` ({count:,})"
        for (stage, prompt), count in sorted(about.statistics.prompts.items())
    ]
    lines = ["## Models", table(("stage", "model or engine", "documents"), rows) if rows else "No model had a part."]
    if prompts:
        lines.append(f"Prompts, by hash: {', '.join(prompts)}.")
    lines.append("What a model wrote can be wrong; nobody has read every text.")
    return "\n\n".join(lines)


def _use(about: About) -> str:
    thing = about.statistics.thing
    return (
        "## Intended use and limits\n\n"
        f"For training and studying models of pictures and text that belong together. It shows what its {thing}s show: "
        "their languages, people, places and errors; it is no fair sample of the world. People may be seen and named; "
        "it is not meant for recognising them. What was left out, and why, is in the table of stages."
    )


def _licences(about: About) -> str:
    statistics, settings = about.statistics, about.settings
    rows = [(escaped(name), f"{count:,}") for name, count in by_frequency(statistics.licences).items()]
    left_out = {
        f"{stage}: {reason}": count
        for stage, content in about.stages.items()
        for reason, count in content["reasons"].items()
        if _ON_REQUEST.search(reason)
    }
    opted = ", ".join(f"{escaped(name)} {count:,}" for name, count in by_frequency(left_out).items())
    whole = (
        f"The release as a whole is under {escaped(settings.licence)}."
        if settings.licence
        else "No licence is stated for the release as a whole."
    )
    return "\n\n".join(
        (
            "## Licences and opt-outs",
            f"{whole} What was made from a {statistics.thing} belongs to its makers too. As the sources state it:",
            table(("licence", "documents"), rows),
            f"Left out on request: {opted}." if opted else "No item was left out on request of its owner.",
            f"Each document names its {statistics.thing} (`video_id`, `url`), so that one can be found and taken out.",
        )
    )


def _commands(about: About) -> str:
    settings = about.settings
    defaults = {name: info.get_default() for name, info in type(settings).model_fields.items()}
    changed = {
        name: value
        for name, value in settings.model_dump(mode="json", exclude={"options"}).items()
        if _comparable(value) != _comparable(defaults[name])
    }
    recipe = about.lock.get("recipe", {}).get("name", "")
    if changed.get("name") == recipe:
        del changed["name"]
    changed |= {f"{name}.{key}": value for name, options in settings.options.items() for key, value in options.items()}
    sets = "".join(f" \\\n  --set {shlex.quote(f'{name}={_yaml(value)}')}" for name, value in changed.items())
    return "\n\n".join(
        (
            "## How it was made",
            f"```\n{_RECIPE} > recipe.yaml\n"
            "interlink build recipe.yaml --set source.path=SOURCE --root ROOT\n"
            f"interlink release ROOT --format {','.join(about.formats)} --out OUT{sets}\n```",
            f"The recipe `{escaped(recipe)}` is in `recipe.lock.json` with every default, versions and fingerprints; "
            "what names our folders and machines or opens doors (paths, private addresses, cookies, proxies) is left "
            "out of it.",
        )
    )


def _yaml(value: Any) -> str:
    """A setting's value as `--set` takes it."""
    return str(value) if not isinstance(value, list) else f"[{', '.join(value)}]"


def _comparable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
