"""A full disk, missing rights, and object storage that refuses or cannot be reached are two lines, not a trace."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlink.errors import UserError
from interlink.surroundings import described


@pytest.mark.parametrize(
    ("error", "what"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/data/x"), "/data/x: the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        (OSError(errno.EROFS, "Read-only file system", "/data/x"), "/data/x: the disk cannot be written"),
        (PermissionError(errno.EACCES, "Permission denied", "/data/x"), "/data/x: permission denied"),
        (PermissionError("Access Denied"), "the object storage refuses: Access Denied"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "a connection was refused or lost: "),
    ],
)
def test_what_surrounds_the_program(error: OSError, what: str) -> None:
    found = described(error)
    assert found is not None and found.what.startswith(what)
    assert found.do and found.code == 1


def test_errors_of_object_storage_are_known_by_name_also_as_a_cause() -> None:
    from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError

    missing = described(NoCredentialsError())
    assert isinstance(missing, UserError)
    assert missing.what == "there are no credentials for the object storage: Unable to locate credentials"
    assert missing.do.startswith("set AWS_ACCESS_KEY_ID")
    outer = RuntimeError("while reading")
    outer.__cause__ = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    unreachable = described(outer)
    assert unreachable is not None and "cannot be reached" in unreachable.what and "127.0.0.1:1" in unreachable.what
    skewed = ClientError({"Error": {"Code": "RequestTimeTooSkewed", "Message": "the clock"}}, "GetObject")
    refused = described(skewed)
    assert refused is not None and "RequestTimeTooSkewed" in refused.what and "clock" in refused.do


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("x"), FileNotFoundError(errno.ENOENT, "no", "x")])
def test_a_bug_stays_a_bug(error: Exception) -> None:
    assert described(error) is None


@pytest.mark.processes
@pytest.mark.parametrize("command", [["interlink", "status", "s3://bucket/root"],
                                     ["cosmos_train", "run", "tiny_cosmo", "--set", "data.shards=s3://bucket/x"]],
                         ids=["builder", "trainer"])  # fmt: skip
def test_a_store_that_cannot_be_reached_is_two_lines(command: list[str], tmp_path: Path) -> None:
    address = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    keys = {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y", "AWS_DEFAULT_REGION": "us-east-1"}
    program, *rest = command
    out = ["--out", str(tmp_path / "run")] if program == "cosmos_train" else []

    done = subprocess.run(
        [sys.executable, "-m", program, *rest, *out], capture_output=True, text=True, env=os.environ | address | keys
    )
    assert done.returncode == 1, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert "Traceback" not in done.stderr
    assert "cannot be reached" in lines[-2] and lines[-1].startswith("  check the network"), done.stderr
