"""The pages: who runs each command block; commands, keys, links and titles are right, without running anything."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from pages import ALL, PAGES, PROGRAMS, ROOT, Block, indented_commands, program_calls

SCENARIOS = ("own-clips", "first-hour", "tutorial")  # tests/docs/test_commands.py


def test_every_command_block_says_who_runs_it_or_why_nobody_can() -> None:
    silent = [b.where for b in ALL if b.holds_commands and not re.match(r"(not )?run: \S", b.mark)]
    assert not silent, "put <!-- run: … --> or <!-- not run: REASON --> above these blocks"
    assert not [f"{page.name}: {line}" for page in PAGES for line in indented_commands(page)], "use fenced blocks"


def test_those_who_run_blocks_exist() -> None:
    runners = {b.mark.removeprefix("run: ") for b in ALL if b.mark.startswith("run: ")}
    assert not [one for one in runners if one not in SCENARIOS and not (ROOT / one).is_file()]
    mentioned = {path for b in ALL for path in re.findall(r"\b(?:tests|docs)/[\w/.-]*\w", b.mark)}
    assert not [path for path in mentioned if not (ROOT / path).exists()]


# ------------------------------------------------------------------------------------------------ commands and keys


@pytest.fixture(scope="module")
def programs() -> dict[str, Any]:
    from cosmos_train.cli import app as trainer
    from interlink.cli import app as builder

    return {"interlink": typer.main.get_command(builder), "cosmos_train": typer.main.get_command(trainer)}


@pytest.fixture(scope="module")
def builder_keys() -> set[str]:
    from interlink.report.tables import stage_descriptions

    keys = {option["name"] for stage in stage_descriptions() for option in stage["options"]}
    return keys | {key.removeprefix("interleave.") for key in keys if key.startswith("interleave.filter.")}


@pytest.fixture(scope="module")
def trainer_keys() -> set[str]:
    from cosmos_train.recipe import describe

    return {name for name, _, _ in describe()}


def known(key: str, keys: set[str]) -> bool:
    """A key, a block of keys, or an entry of a key that holds a mapping."""
    return key in keys or any(one.startswith(f"{key}.") or key.startswith(f"{one}.") for one in keys)


def sets(arguments: list[str]) -> list[str]:
    return [arguments[n + 1].partition("=")[0] for n, word in enumerate(arguments[:-1]) if word == "--set"]


def test_every_command_line_parses(programs: dict[str, Any]) -> None:
    wrong = []
    for where, program, arguments in program_calls():
        words = [word for word in arguments if word not in ("…", "[--average]")]
        command = programs[program].commands.get(words[0])
        if command is None:
            wrong.append(f"{where}: {program} has no command {words[0]}")
            continue
        try:
            command.make_context(words[0], words[1:])
        except Exception as error:  # typer's own click: its classes have no public name
            wrong.append(f"{where}: {program} {' '.join(words)}: {error}")
    assert not wrong


def test_every_key_that_a_command_sets_exists(builder_keys: set[str], trainer_keys: set[str]) -> None:
    wrong = []
    for where, program, arguments in program_calls():
        for key in sets(arguments):
            if arguments[0] == "release":
                continue  # keys of formats; the walk-throughs' own tests use them
            name = key.rpartition(":")[2]  # STAGE:key of a chain
            keys = builder_keys if program == "interlink" else trainer_keys
            if not known(name, keys) and not (arguments[0] == "evaluate" and name.startswith("protocol.")):
                wrong.append(f"{where}: {key}")
    assert not wrong


def flat(data: dict[str, Any], prefix: str = "") -> list[str]:
    found = []
    for key, value in data.items():
        found += flat(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return found


def recipes() -> list[tuple[Block, dict[str, Any]]]:
    made = [(block, yaml.safe_load(block.text)) for block in ALL if block.kind in ("yaml", "yml")]
    return [(block, data) for block, data in made if not block.mark.startswith("not a recipe: ")]


def test_every_recipe_in_the_pages_has_only_keys_that_exist(builder_keys: set[str], trainer_keys: set[str]) -> None:
    from cosmos_train.recipe import Recipe as Training

    wrong = []
    for block, data in recipes():
        chain = isinstance(data.get("stages"), dict)
        training = chain or set(data) & (set(Training.model_fields) - {"name", "seed"})
        keys = trainer_keys if training else builder_keys
        wrong += [f"{block.where}: {key}" for key in flat({} if chain else data) if not known(key, keys)]
    assert not wrong


def test_every_builder_recipe_in_the_pages_is_valid() -> None:
    from cosmos_train.recipe import Recipe as Training
    from interlink.recipe import Recipe
    from interlink.stages import DEFAULT_STAGES, STAGES

    for block, data in recipes():
        if isinstance(data.get("stages"), dict) or set(data) & (set(Training.model_fields) - {"name", "seed"}):
            continue
        wanted = {*DEFAULT_STAGES, *data} & set(STAGES)
        given = {"stages": [name for name in STAGES if name in wanted], "source": {"path": "clips"}, **data}
        assert Recipe.load(given), block.where


# ------------------------------------------------------------------------------------------------ titles and links


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_one_title_and_its_links_lead_to_files(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)
    assert len(re.findall(r"^# ", text, re.M)) == 1
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if link and not (page.parent / link).exists()]


def test_paths_of_pages_in_code_and_messages_exist() -> None:
    wrong = []
    for folder in ("interlink", "cosmos_train", "tests", "pipelines", "benchmarks"):
        for path in (p for kind in ("py", "yaml") for p in (ROOT / folder).rglob(f"*.{kind}")):
            for name in re.findall(r"(?<![\w/.])docs/[\w/-]+\.md", path.read_text()):
                if not (ROOT / name).is_file():
                    wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert not wrong


def test_figures_of_speed_and_quality_are_on_one_page() -> None:
    """A figure is given with its machine, so the machine's name stands on no other page."""
    other = [page for page in PAGES if page.name not in ("benchmarks.md", "contributing.md")]
    assert not [str(page.relative_to(ROOT)) for page in other if "EPYC" in page.read_text()]


def test_every_page_is_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text()
    pages = [str(page.relative_to(ROOT / "docs")) for page in PAGES if page.parent != ROOT]
    assert not [page for page in pages if f": {page}\n" not in nav]


def test_commands_have_pages_that_name_them(programs: dict[str, Any]) -> None:
    for program in PROGRAMS:
        text = (ROOT / f"docs/reference/{program}-commands.md").read_text()
        assert not [name for name in programs[program].commands if f"## {program} {name}\n" not in text]


def test_messages_of_the_troubleshooting_page_are_those_of_the_code() -> None:
    files = [path for folder in ("interlink", "cosmos_train") for path in (ROOT / folder).rglob("*.py")]
    code = re.sub(r'"\s*\n\s*f?"', "", "\n".join(path.read_text() for path in files))
    page = (ROOT / "docs/how-to/troubleshooting.md").read_text()
    messages = re.findall(r"^\| (?:[\w ]+: )?`([^`]+)`", page, re.M)
    assert len(messages) > 30
    parts = [part.strip() for one in messages for part in re.split(r"…|\b[A-Z]+\b|'", one)]
    assert not [part for part in parts if len(part) > 8 and part not in code]
