"""The authors' released weights: fetched once into the cache, resumed, verified, never shipped."""

import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs

from keeprt.engine.bundle.file_lock import try_lock
from keeprt.engine.bundle.load import file_sha256
from keeprt.engine.errors import CheckpointError
from keeprt.export.weights.download import Progress, UnreachableError, fetch
from keeprt.export.weights.releases import Release

LICENCE_NOTICE = (
    "The official KEEP weights are published by their authors under the NTU S-Lab License 1.0: "
    "non-commercial use only. keeprt downloads them from the authors' release and ships no copy. "
    "Terms: https://github.com/jnjaby/KEEP/blob/main/LICENSE"
)


def fetch_official(
    release: Release,
    *,
    progress: Progress | None = None,
    notify: Callable[[str], None] | None = None,
) -> Path:
    """The verified file in the cache, downloaded if it is not there; CheckpointError otherwise."""
    folder = weights_folder()
    path = folder / release.file
    prefix = _published_prefix(path.name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _show_licence(folder, notify)
        if not path.exists():
            _download(release, path, prefix, progress)
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


def _download(release: Release, path: Path, prefix: str, progress: Progress | None) -> None:
    """Fetch into NAME.part, going on where an earlier run stopped; rename once it is verified."""
    part = path.with_name(path.name + ".part")
    with _alone(path.with_name(path.name + ".lock")):
        _fetch_from_any(release, part, prefix, progress)
        _verify(part, prefix)
        part.replace(path)


def _fetch_from_any(release: Release, part: Path, prefix: str, progress: Progress | None) -> None:
    """Each source goes on where the one before it stopped: they hold the same file."""
    failures = []
    for url in release.sources:
        with part.open("ab") as stream:
            try:
                return fetch(url, stream, progress)
            except UnreachableError as error:
                failures.append(f"{url} ({error})")
    raise CheckpointError(
        f"cannot download {' or '.join(failures)}, {part.stat().st_size} bytes so far; run again "
        f"to go on, or fetch the file by other means, check that its SHA-256 begins with {prefix} "
        f"(no more of it is published) and put it into {part.parent} as {release.file}"
    )


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Held against a second process."""
    with lock.open("a") as stream:
        if not try_lock(stream.fileno()):
            raise CheckpointError(
                f"{lock}: another process is downloading the weights; wait until it has finished"
            )
        yield
