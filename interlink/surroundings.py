"""Errors of what surrounds the program: the disk, permissions, object storage and its network, as two lines.

Such an error can come from any read or write, so both command lines ask here once, where an exception would leave them.
Nothing is imported from the libraries of object storage: their errors are known by name.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator

from interlink.errors import UserError

_CREDENTIALS = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (Google: GOOGLE_APPLICATION_CREDENTIALS)"
)
_BY_NAME = {
    "NoCredentialsError": ("there are no credentials for the object storage", _CREDENTIALS),
    "PartialCredentialsError": ("the credentials for the object storage are incomplete", _CREDENTIALS),
    "ProfileNotFound": ("the profile of the object storage does not exist", _CREDENTIALS),
    "TokenRetrievalError": ("the credentials for the object storage have expired", "log in again"),
    "EndpointConnectionError": ("the object storage cannot be reached", ""),
    "ConnectTimeoutError": ("the object storage does not answer", ""),
    "ReadTimeoutError": ("the object storage does not answer", ""),
    "ClientConnectorError": ("the object storage cannot be reached", ""),
    "ServerTimeoutError": ("the object storage does not answer", ""),
    "HttpError": ("the object storage refuses", "check the credentials and their rights"),
    "ClientError": ("the object storage refuses", "check the credentials and their rights, and this machine's clock"),
}
_REACH = "check the network and the endpoint (AWS_ENDPOINT_URL); the same command continues"
_LIBRARIES = ("botocore", "aiobotocore", "aiohttp", "s3fs", "gcsfs", "google")
_FULL = (errno.ENOSPC, errno.EDQUOT)


def described(error: BaseException) -> UserError | None:
    """The error for users, or None where it is not of the surroundings (then it is a bug)."""
    for one in _chain(error):
        name, library = type(one).__name__, type(one).__module__.partition(".")[0]
        if library in _LIBRARIES and name in _BY_NAME:
            what, do = _BY_NAME[name]
            return UserError(f"{what}: {_line(one)}", do or _REACH)
    if not isinstance(error, OSError):
        return None
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in _FULL:
        return UserError(f"{where}the disk is full", "free some space; the same command continues")
    if error.errno == errno.EROFS:
        return UserError(f"{where}the disk cannot be written", "choose another folder, or mount it for writing")
    if isinstance(error, PermissionError):
        if error.filename is None:  # object storage names no file
            return UserError(f"the object storage refuses: {_line(error)}", _BY_NAME["ClientError"][1])
        return UserError(f"{where}permission denied", "choose another folder, or fix its permissions")
    if isinstance(error, ConnectionError):
        return UserError(f"a connection was refused or lost: {_line(error)}", _REACH)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what caused it."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
