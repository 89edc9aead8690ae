"""What classes are called in prompts, and the prompts: bundled lists, or a person's own files. Light: no torch.

Templates: OpenAI's of CLIP (Radford et al. 2021), 80 for ImageNet. Names: of the files, of `data/names.json`, or of
a file of one's own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from cosmos_train.errors import UserError

_DATA = Path(__file__).with_name("data")


def templates(source: str) -> tuple[str, ...]:
    """The bundled list of that name, or the lines of a text file, each with `{}` where the class stands."""
    bundled: dict[str, list[str]] = json.loads((_DATA / "templates.json").read_text())
    if source in bundled:
        return tuple(bundled[source])
    path = Path(source)
    if not path.is_file():
        raise UserError(f"there are no templates {source}", f"give a text file, or one of: {', '.join(bundled)}", 2)
    found = tuple(line.strip() for line in _text(path).splitlines() if line.strip())
    wrong = next((line for line in found if "{}" not in line), None)
    if not found or wrong is not None:
        raise UserError(
            f"{path}: {wrong or 'the file'} holds no {{}}", "write one template a line: a photo of a {}.", 2
        )
    return found


def filled(template: str, name: str) -> str:
    return template.replace("{}", name)


def fill(template: str, fields: Mapping[str, str]) -> str:
    """`{name}` in a template replaced, all at once: what stands in a field is not looked into."""
    return re.sub(r"\{(\w+)\}", lambda found: fields.get(found[1], found[0]), template)


def class_names(keys: Sequence[str], known: Mapping[str, str], bundled: str, own: str) -> tuple[str, ...]:
    """The name of each class; own: a person's file, else the bundled list of that name, else what the files say.

    own: JSON {class: name}, lines of `class<TAB>name`, or one name a line in the order of the classes. Raises UserError
    where a class has no name.
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
        raise UserError(f"there is no file {path} with classes", "check protocol.classes", 2)
    text = _text(path)
    if path.suffix == ".json":
        try:
            found = json.loads(text)
        except ValueError as error:
            raise UserError(f"{path} is no JSON: {error}", "mend the file", 2) from error
        if not isinstance(found, dict) or not all(isinstance(name, str) for name in found.values()):
            raise UserError(f"{path} is no object of names", 'write {"class": "name", …}', 2)
        return found
    lines = [line.rstrip("\r") for line in text.split("\n") if line.strip()]
    if all("\t" in line for line in lines):
        return {key: name.strip() for key, _, name in (line.partition("\t") for line in lines)}
    if len(lines) != len(keys):
        raise UserError(
            f"{path} has {len(lines)} names, there are {len(keys)} classes",
            "write one a line in the order of the classes, or class<TAB>name",
            2,
        )
    return dict(zip(keys, (line.strip() for line in lines), strict=True))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", "mend the file", 2) from error
