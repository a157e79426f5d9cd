"""The authors' released weights: fetched once into the cache, resumed, verified, never shipped."""

import contextlib
import fcntl
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import platformdirs

from keeprt.engine.bundle import file_sha256
from keeprt.engine.errors import CheckpointError

OFFICIAL_URL = "https://github.com/jnjaby/KEEP/releases/download/v0.1.0/KEEP-a1a14d46.pth"
LICENCE_NOTICE = (
    "The official KEEP weights are published by their authors under the NTU S-Lab License 1.0: "
    "non-commercial use only. keeprt downloads them from the authors' release and ships no copy. "
    "Terms: https://github.com/jnjaby/KEEP/blob/main/LICENSE"
)
Progress = Callable[[int, int | None], None]

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_FRUITLESS_ATTEMPTS = 2


def fetch_official(
    url: str = OFFICIAL_URL,
    *,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> Path:
    """The verified file in the cache, downloaded if it is not there; CheckpointError otherwise."""
    folder = weights_folder()
    path = folder / official_name(url)
    prefix = _published_prefix(path.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _show_licence(folder, notify)
        if not path.exists():
            _download(url, path, prefix, progress)
        else:
            _verify(path, prefix)
    except OSError as error:
        raise CheckpointError(
            f"{folder}: cannot keep the weights there ({error.strerror or error}); "
            "set KEEPRT_CACHE to a folder with 700 MB to spare"
        ) from error
    return path


def weights_folder() -> Path:
    """Where downloaded weights are kept; the environment's KEEPRT_CACHE moves the cache."""
    cache = os.environ.get("KEEPRT_CACHE")
    return (Path(cache) if cache else platformdirs.user_cache_path("keeprt")) / "weights"


def official_name(url: str = OFFICIAL_URL) -> str:
    """The file's name, the last part of the URL."""
    return url.rpartition("/")[2]


def _show_licence(folder: Path, notify: Callable[[str], None] | None) -> None:
    marker = folder / "licence-shown"
    if notify is None or marker.exists():
        return
    notify(LICENCE_NOTICE)
    # in a cache that cannot be written the notice is simply shown again
    with contextlib.suppress(OSError):
        marker.touch()


def _published_prefix(name: str) -> str:
    """The beginning of the SHA-256 that the authors put into the file's name."""
    found = re.search(r"-([0-9a-f]{8,64})\.", name)
    if found is None:
        raise CheckpointError(f"{name}: the name holds no SHA-256 prefix to verify it by")
    return found[1]


def _verify(path: Path, prefix: str) -> None:
    """Refuse a file of another hash; deletes nothing."""
    found = file_sha256(path)
    if not found.startswith(prefix):
        raise CheckpointError(
            f"{path} is not the published file (SHA-256 begins {found[: len(prefix)]}, "
            f"expected {prefix}); delete it and run again, or put the right file there"
        )


def _download(url: str, path: Path, prefix: str, progress: Progress | None) -> None:
    """Fetch into NAME.part, going on where an earlier run stopped; rename once it is verified."""
    part = path.with_name(path.name + ".part")
    with _locked(part) as stream:
        _fetch_all(url, stream, path.parent, progress)
        _verify(part, prefix)
        part.replace(path)


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """The part file, open at its end, held against a second process."""
    with part.open("ab") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(
                f"{part}: another process is downloading the weights; wait until it has finished"
            ) from error
        yield stream


def _fetch_all(url: str, stream: BinaryIO, folder: Path, progress: Progress | None) -> None:
    """Go on after interruptions for as long as every second attempt brings something new."""
    fruitless = 0
    while True:
        before = stream.tell()
        try:
            if _fetch_once(url, stream, progress):
                return
            reason = "the connection closed early"
        except urllib.error.HTTPError as error:
            reason, fruitless = f"HTTP {error.code} {error.reason}", _FRUITLESS_ATTEMPTS
        except (http.client.HTTPException, ConnectionError) as error:
            reason = str(error) or type(error).__name__
        stream.flush()
        fruitless = 0 if stream.tell() > before else fruitless + 1
        if fruitless >= _FRUITLESS_ATTEMPTS:
            raise CheckpointError(
                f"cannot download {url} ({reason}, {stream.tell()} bytes so far); run again to go "
                f"on, or fetch the file by other means and put it into {folder}"
            )


def _fetch_once(url: str, stream: BinaryIO, progress: Progress | None) -> bool:
    """One request for what is missing; True when the file is complete as far as the server says."""
    start = stream.tell()
    request = urllib.request.Request(url, headers={"User-Agent": "keeprt"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = _open(request)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not start:
            raise
        # nothing lies behind our last byte: it is complete, or it is not a part of that file
        if error.headers.get("Content-Range") == f"bytes */{start}":
            return True
        stream.truncate(0)
        stream.seek(0)
        return False
    with response:
        if not _continues(response, start):
            stream.truncate(0)
            stream.seek(0)
        total = _total_bytes(response, stream.tell())
        for chunk in _chunks(response):
            stream.write(chunk)
            if progress:
                progress(stream.tell(), total)
    stream.flush()
    return total is None or stream.tell() == total


def _open(request: urllib.request.Request) -> http.client.HTTPResponse:
    try:
        # an opener of our own: one that the program installed elsewhere has no say here
        response = urllib.request.build_opener().open(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError:
        raise
    except OSError as error:
        raise ConnectionError(str(getattr(error, "reason", error))) from error
    assert isinstance(response, http.client.HTTPResponse)
    return response


def _chunks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body; the network's errors become ConnectionError, so that a full disk stays apart."""
    try:
        while chunk := response.read(_CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise ConnectionError(str(error)) from error


def _continues(response: http.client.HTTPResponse, start: int) -> bool:
    """Whether the body begins at byte `start`; a server may ignore the range that was asked for."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return False
    return (response.headers.get("Content-Range") or "").startswith(f"bytes {start}-")


def _total_bytes(response: http.client.HTTPResponse, start: int) -> int | None:
    length = response.headers.get("Content-Length")
    return start + int(length) if length and length.isdigit() else None
