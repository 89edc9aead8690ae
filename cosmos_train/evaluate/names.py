"""Names of classes in prompts, and the prompts: bundled lists, or a user's files. Light: no torch.

Templates: OpenAI's of CLIP (Radford et al. 2021), 80 for ImageNet. Names: from the set's files, from `data/names.json`,
or from a user's file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cosmos_train.errors import UserError

_DATA = Path(__file__).with_name("data")


def templates(source: str) -> tuple[str, ...]:
    """The bundled list of that name, or the lines of a text file, each with `{}` for the class."""
    bundled: dict[str, list[str]] = json.loads((_DATA / "templates.json").read_text())
    if source in bundled:
        return tuple(bundled[source])
    path = Path(source)
    if not path.is_file():
        raise UserError(f"there are no templates {source}", f"give a text file, or one of: {', '.join(bundled)}", 2)
    found = tuple(line.strip() for line in _text(path).splitlines() if line.strip())
    wrong = next((line for line in found if "{}" not in line), None)
    if not found or wrong is not None:
        raise UserError(f"{path}: {wrong or 'the file'} has no {{}}", "write one template a line: a photo of a {}.", 2)
    return found


def filled(template: str, name: str) -> str:
    return template.replace("{}", name)


def fill(template: str, fields: Mapping[str, str]) -> str:
    """Replaces `{name}` in a template, all at once: fields inside the values are not replaced."""
    return re.sub(r"\{(\w+)\}", lambda found: fields.get(found[1], found[0]), template)


def class_names(keys: Sequence[str], known: Mapping[str, str], bundled: str, own: str) -> tuple[str, ...]:
    """The name of each class; own: a user's file, else the bundled list of that name, else the names in the set's
    files.

    own: JSON {class: name}, lines of `class<TAB>name`, or one name per line in the order of the classes. Raises
    UserError if a class has no name.
    """
    names = dict(known)
    if bundled:
        names |= json.loads((_DATA / "names.json").read_text()).get(bundled, {})
    if own:
        names |= _own(Path(own), keys)
    missing = [key for key in keys if not names.get(key)]
    if missing:
        raise UserError(
            f"{len(missing)} of {len(keys)} classes have no name, the first {missing[0]}",
            "give a file with them: --set protocol.classes=FILE (JSON {class: name}, or lines of class<TAB>name)",
            2,
        )
    return tuple(names[key] for key in keys)


def _own(path: Path, keys: Sequence[str]) -> dict[str, str]:
    if not path.is_file():
        raise UserError(f"there is no file {path} of classes", "check protocol.classes", 2)
    text = _text(path)
    if path.suffix == ".json":
        try:
            found = json.loads(text)
        except ValueError as error:
            raise UserError(f"{path} is not JSON: {error}", "fix the file", 2) from error
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
            raise UserError(f"{path} is not an object of names", 'write {"class": "name", …}', 2)
        return found
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    if all("\t" in line for line in lines):
        return {key: name.strip() for key, _, name in (line.partition("\t") for line in lines)}
    if len(lines) != len(keys):
        raise UserError(
            f"{path} has {len(lines)} names, but there are {len(keys)} classes",
            "write one per line in the order of the classes, or class<TAB>name",
            2,
        )
    return dict(zip(keys, (line.strip() for line in lines), strict=True))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", "fix the file", 2) from error
