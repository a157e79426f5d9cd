"""One build at a time in a folder of plans; a lock that dies with its process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keeprt.engine.bundle.file_lock import try_lock
from keeprt.engine.errors import BackendError

FILE = ".lock"
POLL_SECONDS = 0.1


@contextmanager
def plans_locked(folder: Path, notify: Callable[[str], None] = lambda text: None) -> Iterator[None]:
    """Makes the folder and holds its lock; waits for another build, saying so once.

    Raises BackendError where the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        stream = (folder / FILE).open("a")
    except OSError as error:
        raise BackendError(f"cannot write plans to {folder}: {error.strerror}") from None
    with stream:
        waiting = False
        while not try_lock(stream.fileno()):
            if not waiting:
                notify(f"another build is running in {folder}: waiting for it")
            waiting = True
            time.sleep(POLL_SECONDS)
        yield
