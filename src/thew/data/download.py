"""Files from the network: once, whole, with the checksum that their publishers give."""

from __future__ import annotations

import hashlib
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from thew.errors import InputError

CHUNK_BYTES = 1 << 20
TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Remote:
    """A published file: where it is, and its MD5, which is what the publishers give."""

    name: str
    url: str
    md5: str


def data_folder() -> Path:
    """Where data sets lie: the folder that THEW_DATA names, else ``~/.cache/thew``."""
    return Path(os.environ.get("THEW_DATA") or Path.home() / ".cache" / "thew").expanduser()


def fetch(remote: Remote, folder: Path) -> Path:
    """The file in a folder, downloaded where it is not there yet; an attempt that broke off goes on.

    Raises:
        InputError: it cannot be had, or its checksum differs.
    """
    path = folder / remote.name
    if path.exists():
        _check(path, remote)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        _download(remote, part)
    except (OSError, urllib.error.URLError) as error:
        remedy = f"put the file into {folder}, or set THEW_DATA"
        raise InputError(f"data '{remote.name}': must be had from {remote.url}, got {error}; {remedy}") from error
    try:
        _check(part, remote)
    except InputError:
        part.unlink()  # going on from it would never end well
        raise
    os.replace(part, path)
    return path


def _download(remote: Remote, part: Path) -> None:
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(remote.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        answer = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if have and error.code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return  # all of it is there; its checksum is looked at next
        raise
    with answer, part.open("ab" if have and answer.status == HTTPStatus.PARTIAL_CONTENT else "wb") as file:
        while chunk := answer.read(CHUNK_BYTES):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())


def _check(path: Path, remote: Remote) -> None:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != remote.md5:
        raise InputError(f"data '{path}': MD5 must be {remote.md5}, got {digest.hexdigest()}; delete the file")
