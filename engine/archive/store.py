"""Folders on a disk or in an object store, by fsspec: the one place that knows the difference."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import fsspec
from fsspec.implementations.local import LocalFileSystem

from keeprt.engine.bundle.file_lock import try_lock
from keeprt.engine.errors import KeeprtError, MediaError, UsageError
from keeprt.engine.libraries.tensorrt.plan_store import write_atomically
from keeprt.engine.media import redact

HASHED_BYTES = 1 << 20
# What a file system calls the mark that changes with a file's content, best first.
MARKS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True)
class Version:
    """What tells one content of a file from another without reading it."""

    size_bytes: int
    mark: str


@dataclass(frozen=True)
class Store:
    """A folder; names are relative to it, with "/" between their parts."""

    url: str
    filesystem: Any
    root: str

    @property
    def is_local(self) -> bool:
        """Whether files have paths on this machine."""
        return isinstance(self.filesystem, LocalFileSystem)

    @property
    def address(self) -> str:
        """What another process opens it by, wherever that was started."""
        return self.root if self.is_local else self.url

    def names(self) -> Iterator[str]:
        """All files below the folder, hidden ones left out, in order of their names."""
        with _said(self.url):
            found = sorted(self.filesystem.find(self.root))
        for path in found:
            name = str(path)[len(self.root) :].lstrip("/")
            if not any(part.startswith(".") for part in name.split("/")):
                yield name

    def version(self, name: str) -> Version | None:
        """The version of a file, None where there is none. Raises MediaError for a folder."""
        with _said(self.url):
            try:
                info = self.filesystem.info(self._path(name))
            except FileNotFoundError:
                return None
        if info.get("type") not in (None, "file"):  # a pipe would be waited for
            raise MediaError(f"{name} is no file")
        mark = next((info[key] for key in MARKS if info.get(key) is not None), "")
        return Version(int(info.get("size") or 0), str(mark))

    def sha256(self, name: str) -> str:
        """SHA-256 of a file in hex, read in parts."""
        digest = hashlib.sha256()
        with _said(self.url), self.filesystem.open(self._path(name), "rb") as stream:
            while chunk := stream.read(HASHED_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def fetch(self, name: str, folder: Path) -> Path:
        """A file with a path on this machine: itself, or a copy in `folder`."""
        if self.is_local:
            return Path(self._path(name))
        local = folder / Path(name).name
        with _said(self.url):
            self.filesystem.get_file(self._path(name), str(local))
        return local

    def output(self, name: str, folder: Path) -> Path:
        """Where to write what `publish` is to put under a name."""
        if not self.is_local:
            return folder / Path(name).name
        path = Path(self._path(name))
        with _said(self.url):
            path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def publish(self, local: Path, name: str) -> None:
        """Puts a finished file under its name; a local one stands there already."""
        if not self.is_local:
            with _said(self.url):
                self.filesystem.put_file(str(local), self._path(name))

    def read(self, name: str) -> bytes | None:
        """A small file, None where there is none."""
        with _said(self.url):
            try:
                return bytes(self.filesystem.cat_file(self._path(name)))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> None:
        """A small file, whole or not at all."""
        path = self._path(name)
        with _said(self.url):
            if not self.is_local:  # an object appears when all of it has arrived
                self.filesystem.pipe_file(path, content)
                return
            file = Path(path)
            file.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(file, content)

    @contextmanager
    def held(self, name: str) -> Iterator[None]:
        """Keeps other processes from writing a file meanwhile, where files can be locked.

        Raises MediaError where another holds it. An object store knows no locks: there a file that
        two write at once is the last one's, whole.
        """
        if not self.is_local:
            yield
            return
        path = self.output(name, Path())
        lock = path.with_name(f".{path.name}.keeprt.lock")
        with _said(self.url):
            descriptor = _locked(lock)
        if descriptor is None:
            raise MediaError(f"{name}: another process is at it")
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)
            os.close(descriptor)

    def remove(self, name: str) -> None:
        """Removes a file, if it is there."""
        with _said(self.url):
            try:
                self.filesystem.rm_file(self._path(name))
            except FileNotFoundError:
                return

    def _path(self, name: str) -> str:
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise UsageError(f"{name!r} leaves its folder; name files below it")
        return f"{self.root.rstrip('/')}/{name}"


def open_store(url: str | os.PathLike[str]) -> Store:
    """A folder by its path or URL (s3://..., gs://..., memory://...). Raises MediaError."""
    text = os.fspath(url)
    with _said(text):
        filesystem, root = fsspec.core.url_to_fs(text)
    return Store(text, filesystem, str(root))


def _locked(lock: Path) -> int | None:
    """The descriptor of a file that is locked and still there, None where another has it."""
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            mine = try_lock(descriptor)
        except OSError:  # a network's file system without locks
            mine = True
        if not mine:
            os.close(descriptor)
            return None
        with suppress(FileNotFoundError):  # its last holder has just removed it
            if os.path.samestat(os.fstat(descriptor), lock.stat()):
                return descriptor
        os.close(descriptor)


@contextmanager
def _said(url: str) -> Iterator[None]:
    """Turns what a file system raises into one line that names the folder."""
    try:
        yield
    except KeeprtError:
        raise
    except Exception as error:  # object stores raise classes that only their libraries know
        said = _without_secrets(" ".join(str(error).split()), url) or type(error).__name__
        raise MediaError(f"{redact(url)}: {said}") from error


def _without_secrets(text: str, url: str) -> str:
    """What a library says of a URL, which it may quote in parts."""
    parts = urlsplit(url)
    secrets = [*parts.netloc.rpartition("@")[0].split(":"), *parts.query.split("&")]
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return redact(text)
