"""Datasets of the Hugging Face Hub as folders of shards: `OWNER/NAME[/FOLDER]`, or `hf://datasets/OWNER/NAME[@REVISION]`.

They are read in ranges through `huggingface_hub`, with its token and HF_ENDPOINT.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interlink.errors import UserError

SCHEME = "hf://"
_CHECK = "check the id and the network; a private dataset needs a token: hf auth login, or HF_TOKEN"
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}(@[\w.-]+)?(/[\w./*?{}\[\]-]*)?")


def url(path: str) -> str:
    """The URL of a dataset's id; any other path as it is.

    A path is an id only if neither it nor its first folder exists here, so that a slip in a local path stays one.
    """
    if not _ID.fullmatch(path) or Path(path).exists() or Path(path.partition("/")[0]).exists():
        return path
    return f"{SCHEME}datasets/{path}"


@contextmanager
def explained(where: str) -> Iterator[None]:
    """Turns failures to reach `where` into a UserError, if it is at the Hub."""
    if not where.startswith(SCHEME):
        yield
        return
    try:
        with connection_errors(where):
            yield
    except UserError as error:
        raise UserError(error.what, f"{error.do}; {_CHECK}" if error.do else _CHECK, error.code) from error
    except OSError as error:
        first = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
        raise UserError(f"cannot read {where}: {first[:300]}", _CHECK) from error


@contextmanager
def connection_errors(where: str) -> Iterator[None]:
    """Turns errors of the Hub's HTTP client into a ConnectionError, which is an OSError as for other storages."""
    try:
        yield
    except Exception as error:
        if (known := as_os_error(where, error)) is error:
            raise
        raise known from error


def as_os_error(where: str, error: Exception) -> Exception:
    """A ConnectionError for an error of the Hub's HTTP client, if `where` is at the Hub; any other error as it is."""
    if not where.startswith(SCHEME) or isinstance(error, OSError):
        return error
    from huggingface_hub.errors import HTTPError

    return ConnectionError(f"{where}: {error}") if isinstance(error, HTTPError) else error
