"""The parts of the card and of the Croissant file, from facts made by hand."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
import yaml

from interlink.release.about import About, Column, Description
from interlink.release.card import card, escaped, histogram
from interlink.release.croissant import count_of, croissant, general, licence_link
from interlink.release.settings import ReleaseSettings
from interlink.release.statistics import Distribution, Statistics
from interlink.release.target import File


def about(**settings: Any) -> About:
    """Three documents of two videos; two formats with records, one without."""
    found = Statistics(("caption",))
    found.documents = Counter(train=2, val=1)
    found.videos, found.images, found.text_tokens = {1, 2}, 5000, 12_000
    for count in (2, 2, 5):
        found.clips_per_document.add(count)
    found.roles = Counter(speech=3, caption=3, ocr=1000)
    found.licences = Counter({"CC-BY-4.0": 2, "not stated": 1})
    found.models = Counter({("narrate", "n@1"): 3, ("caption", "none"): 3, ("caption", "m@1"): 1200})
    found.prompts = Counter({("narrate", "abc"): 3, ("caption", "x"): 2})
    stage = {"ok": 1200, "partial": 1, "dropped": 2, "failed": 3, "pending": 4}
    stages = {
        "download": {**stage, "reasons": {"opt_out": 2, "short": 9}, "errors": {"gone": 2}, "lost": {"words": 1}},
        "shard": {**stage, "reasons": {}, "errors": {}},
    }
    columns = {"id": Column("sc:Text", "of the {thing}"), "place": Column("sc:Integer", "in it", "number")}
    formats = {
        "rows": Description("rows of it", {"train": 2000, "val": 1}, {"train": "rows/train-*.parquet"}, columns),
        "more": Description("more", {"train": 2}, {"train": "more/*.parquet"}, columns, keys=2, default=True),
        "tars": Description(
            "tars", {"train": 2}, {"train": "tars/*.tar"}, loader="use webdataset", media={"tars/*": "video/mp4"}
        ),
        "none": Description("none", {}, media={"none/*": "image/jpeg"}),
    }  # fmt: skip
    lock = {"recipe": {"name": "told"}}
    return About(ReleaseSettings(**{"name": "told", **settings}), found, stages, lock, formats)


FILES = [
    File("rows/train-00000.parquet", 10, "aa"), File("rows/val-00000.parquet", 11, "ab"),
    File("more/d/x.parquet", 1, "b"), *(File(f"more/{part}/x.parquet", 1, "c") for part in "bacef"),
    File("tars/x.tar", 2, "d"),
    File("README.md", 3, "e"), File("x.odd", 4, "f"), File("moreover/x.parquet", 5, "g"),
]  # fmt: skip


def front(text: str) -> dict[str, Any]:
    return yaml.safe_load(text.split("---\n")[1])  # type: ignore[no-any-return]


def section(text: str, title: str) -> list[str]:
    return text.split(f"## {title}\n")[1].split("\n## ")[0].strip().split("\n")


def test_the_front_matter_names_what_datasets_opens() -> None:
    found = front(card(about(licence="CC-BY-4.0")))
    assert found["pretty_name"] == "told" and found["license"] == "cc-by-4.0"
    assert found["size_categories"] == ["n<1K"]
    assert found["tags"] == ["interleaved", "image-text", "video", "webdataset", "interlink"]
    assert found["configs"] == [
        {"config_name": "rows", "data_files": [{"split": "train", "path": "rows/train-*.parquet"}]},
        {"config_name": "more", "data_files": [{"split": "train", "path": "more/*.parquet"}], "default": True},
    ]
    alone = about()
    alone.formats = {"tars": alone.formats["tars"]}
    assert front(card(alone))["configs"] == [
        {"config_name": "tars", "data_files": [{"split": "train", "path": "tars/*.tar"}], "default": True}
    ]
    alone.formats = {"none": about().formats["none"]}
    assert not {"configs", "license", "license_name"} & front(card(alone)).keys()


def test_the_contents_are_counted() -> None:
    text = "\n".join(section(card(about(val_share=0.25, seed=7)), "What is here"))
    assert "3 documents (2 train, 1 val) from 2 videos; 9 clips, 5,000 images, 12,000 tokens" in text
    assert "(seed 7, 25% val)" in text
    assert "| folder | holds | records |\n|---|---|---|\n| `rows/` | rows of it | train 2,000, val 1 |" in text
    assert "| `none/` | none |  |" in text
    assert "- none: no records. No document has what it needs." in text
    assert "- `tars`: use webdataset" in text


def test_the_funnel_has_every_reason_the_most_frequent_first() -> None:
    rows = section(card(about()), "From the source to the documents")[2:]
    assert rows == [
        "| stage | ok | partial | dropped | failed | pending | why |",
        "|---|---|---|---|---|---|---|",
        r"| download | 1,200 | 1 | 2 | 3 | 4 | short 9, gone 2, opt\_out 2, words 1 |",
        "| shard | 1,200 | 1 | 2 | 3 | 4 |  |",
    ]


def test_models_that_did_nothing_are_no_models() -> None:
    rows = section(card(about()), "Models")
    assert rows[0:4] == [
        "| stage | model or engine | documents |", "|---|---|---|", "| caption | `m@1` | 1,200 |",
        "| narrate | `n@1` | 3 |",
    ]  # fmt: skip
    assert "Prompts, by hash: caption `x` (2), narrate `abc` (3)." in rows
    bare = about()
    bare.statistics.models, bare.statistics.prompts = Counter({("caption", "none"): 3}), Counter()
    text = card(bare)
    assert "No model had a part." in text and "Prompts, by hash" not in text


def test_licences_and_items_that_were_left_out_on_request() -> None:
    text = "\n".join(section(card(about(licence="MIT")), "Licences and opt-outs"))
    assert "The release as a whole is under MIT." in text
    assert "| CC-BY-4.0 | 2 |\n| not stated | 1 |" in text
    assert r"Left out on request: download: opt\_out 2." in text
    silent = about()
    silent.stages = {}
    text = card(silent)
    assert "No licence is stated for the release as a whole." in text
    assert "No item was left out on request of its owner." in text


@pytest.mark.parametrize("reason", ["opt_out", "optout", "opted_out", "takedown", "take_down", "taken_down", "tombstone", "robots"])  # fmt: skip  # noqa: E501
def test_every_kind_of_request_is_counted(reason: str) -> None:
    found = about()
    found.stages = {"download": {**found.stages["download"], "reasons": {reason: 2, "optimum": 4}}}
    assert f"Left out on request: download: {escaped(reason)} 2." in card(found)


def test_roles_distributions_and_pictures_are_shown() -> None:
    found = about(citation=" @misc{x} ", description="A *set*.")
    found.shown = [("doc0", "samples/doc0.png")]
    text = card(found)
    assert "Text segments by role: ocr 1,000, caption 3, speech 3." in text
    assert "**doc0**\n\n![document doc0](samples/doc0.png)" in text
    assert text.endswith("## Citation\n\n```\n@misc{x}\n```\n")
    assert "\n\nA \\*set\\*.\n\n" in text
    plain = card(about())
    assert "Sample documents" not in plain and "Citation" not in plain and "\n\n\n" not in plain
    assert front(card(about(licence="https://a.example/terms")))["license_name"] == "a.example-terms"
    assert "3 interleaved documents from 2 videos: frames and text alternate in the order of time." in plain
    empty = about()
    empty.statistics.roles = Counter()
    assert "Text segments by role: none." in card(empty)


def test_the_command_repeats_what_was_changed_and_nothing_else() -> None:
    lines = section(card(about()), "How it was made")
    command = next(line for line in lines if line.startswith("interlink release"))
    assert command == "interlink release ROOT --format rows,more,tars,none --out OUT"
    changed = card(
        about(name="other", seed=3, texts=("speech", "caption"), options={"rows": {"deep": True}}, url="a b")
    )
    assert [line for line in section(changed, "How it was made") if line.startswith("  --set")] == [
        "  --set name=other \\", "  --set 'url=a b' \\", "  --set seed=3 \\",
        "  --set 'texts=[speech, caption]' \\", "  --set rows.deep=True",
    ]  # fmt: skip


def test_a_histogram_has_quantiles_and_bars_by_their_share() -> None:
    values = Distribution()
    for value in (0, 0, 0, 0, 1, 2, 2, 40):
        values.add(value)
    lines = histogram(values, "clips").split("\n")
    assert lines[0] == "mean 5.6   median 0   5 % 0   95 % 40   clips"
    assert [line.split("  ")[-1] for line in lines[1:]] == ["7", "0", "0", "0", "0", "0", "0", "0", "1"]
    assert lines[1] == f"{'0 – 5':>15}  {'█' * 40}  7"
    assert lines[2] == f"{'5 – 10':>15}  {' ' * 40}  0"
    assert lines[-1].count("█") == round(40 / 7)
    few = Distribution()
    few.counts = Counter({3: 1000, 4: 1})
    assert histogram(few, "x").split("\n")[1:] == [f"{'3':>15}  {'█' * 40}  1,000", f"{'4':>15}  {'▏':<40}  1"]
    assert histogram(Distribution(), "x") == "mean 0.0   median 0   5 % 0   95 % 0   x"


def test_text_cannot_become_markup() -> None:
    assert escaped("a\n b\t*c* <d> & [e](f) #g | h~ ! `i` \\ _j_") == (
        r"a b \*c\* &lt;d&gt; &amp; \[e\]\(f\) \#g \| h\~ \! \`i\` \\ \_j\_"
    )


def described(found: About) -> dict[str, Any]:
    return json.loads(croissant(found, FILES))  # type: ignore[no-any-return]


def test_croissant_lists_files_file_sets_and_records() -> None:
    text = croissant(about(), FILES).decode()
    found = json.loads(text)
    assert text == json.dumps(found, indent=1, ensure_ascii=False) + "\n"
    objects = [one for one in found["distribution"] if one["@type"] == "cr:FileObject"]
    assert objects[0] == {
        "@type": "cr:FileObject", "@id": "rows/train-00000.parquet", "name": "rows/train-00000.parquet",
        "contentUrl": "rows/train-00000.parquet", "contentSize": "10 B", "encodingFormat": "application/x-parquet",
        "sha256": "aa",
    }  # fmt: skip
    kinds = [one["encodingFormat"] for one in objects]
    assert kinds[8:11] == ["application/x-tar", "text/markdown", "application/octet-stream"]
    sets = [(one["@id"], one["includes"], one["encodingFormat"]) for one in found["distribution"] if one not in objects]
    assert sets == [
        ("rows-files", "rows/*.parquet", "application/x-parquet"),
        ("more-files", [f"more/{part}/*.parquet" for part in "abcdef"], "application/x-parquet"),
        ("tars-media", "tars/*", "video/mp4"),
    ]
    rows, more = found["recordSet"]
    assert (rows["@id"], rows["key"], rows["description"]) == ("rows", {"@id": "rows/id"}, "Rows of it.")
    assert more["key"] == [{"@id": "more/id"}, {"@id": "more/place"}]
    assert rows["field"] == [
        {
            "@type": "cr:Field", "@id": f"rows/{name}", "name": name, "description": said, "dataType": kind,
            "source": {"fileSet": {"@id": "rows-files"}, "extract": {"column": column}},
        }
        for name, said, kind, column in (
            ("id", "of the video", "sc:Text", "id"), ("place", "in it", "sc:Integer", "number"),
        )
    ]  # fmt: skip


def test_croissant_says_what_the_settings_say_and_leaves_out_the_rest() -> None:
    bare = described(about())
    assert not {"url", "datePublished", "creator", "citeAs"} & bare.keys()
    assert bare["license"] == {
        "@type": "sc:CreativeWork", "name": "as the source of each document states it",
        "description": "CC-BY-4.0 (2 documents), not stated (1 documents)",
    }  # fmt: skip
    assert bare["keywords"] == ["interleaved", "image-text", "video"] and bare["version"] == "1.0.0"
    full = described(
        about(
            url="u", published="2026-01-02", creator="c", citation="x", licence="mit", description="d", version="2.0.0"
        )
    )
    assert (full["url"], full["datePublished"], full["citeAs"]) == ("u", "2026-01-02", "x")
    assert full["creator"] == {"@type": "sc:Organization", "name": "c"}
    assert (full["license"], full["description"]) == ("https://spdx.org/licenses/MIT.html", "d")
    assert described(about(licence="ours"))["license"] == {"@type": "sc:CreativeWork", "name": "ours"}
    without = about()
    without.formats = {"tars": without.formats["tars"]}
    assert "recordSet" not in described(without)


@pytest.mark.parametrize(
    ("licence", "link"),
    [
        ("https://a.example", "https://a.example"),
        ("cc-by-4.0", "https://spdx.org/licenses/CC-BY-4.0.html"),
        ("mit", "https://spdx.org/licenses/MIT.html"),
        ("Apache-2.0", "https://spdx.org/licenses/Apache-2.0.html"),
        ("mitre", ""), ("Our own 2", ""), ("ours", ""), ("", ""),
    ],
)  # fmt: skip
def test_links_of_licences(licence: str, link: str) -> None:
    assert licence_link(licence) == link


def test_counts_are_singular_and_plural() -> None:
    assert [count_of(number, "clip") for number in (0, 1, 2, 2000)] == ["0 clips", "1 clip", "2 clips", "2,000 clips"]
    pictures = Statistics(("caption",), "picture")
    assert general(pictures) == "0 interleaved documents from 0 pictures: pictures and text."


def test_what_formats_leave_out_is_noted_only_where_the_build_has_it() -> None:
    found = about()
    found.statistics.optional = Counter(clip_files=4000, regions=0)
    nothing = "none: no records. No document has what it needs"
    assert found.notes() == [nothing]
    for name in ("rows", "tars"):
        found.formats[name] = replace(found.formats[name], loses=frozenset(("clip_files", "regions")))
    assert found.notes() == [
        "rows, tars: without the 4,000 video and sound files of clips; they are in more, none", nothing
    ]  # fmt: skip
    found.formats = {"rows": found.formats["rows"]}
    assert found.notes() == [
        "rows: without the 4,000 video and sound files of clips; no format of this release carries them"
    ]
    assert found.records == {"rows": {"train": 2000, "val": 1}}
