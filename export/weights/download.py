"""One file by HTTP, into an open part that an earlier run may have begun."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import BinaryIO

Progress = Callable[[int, int | None], None]

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_FRUITLESS_ATTEMPTS = 2


class UnreachableError(Exception):
    """The file could not be fetched to its end; what came is in the part."""


def fetch(url: str, stream: BinaryIO, progress: Progress | None) -> None:
    """Go on after interruptions for as long as every second attempt brings something new.

    Raises UnreachableError with the reason, OSError where the part cannot be written.
    """
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
            raise UnreachableError(reason)


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
