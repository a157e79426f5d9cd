"""What one file takes of a machine, so that a scheduler does not overfill it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2

MB = 1_000_000
# Peak memory of `restore --bypass` measured at 128 x 128 and at 1080p in 4:2:2 with 10 bits.
BASE_BYTES, BYTES_PER_PIXEL = 330 * MB, 730
# Resident memory of one stream to the bytes of its bundle: 5,490 MB to 653 MB at full size.
NETWORK_FACTOR = 8.0
# Processors of a file on an engine where nobody says; a single one leaves the encoder waiting.
DEFAULT_THREADS = 2
LARGEST_FRAME = 1920 * 1080


@dataclass(frozen=True)
class Needs:
    """threads: of the network, the codecs and the picture work of one file. memory_bytes: at most
    resident while it is restored."""

    threads: int
    memory_bytes: int


def needs_of_a_file(
    bundle: str | None, threads: int, pixels: int = LARGEST_FRAME, on_card: bool = False
) -> Needs:
    """What to ask for a file of so many pixels a frame; of 1080p where nobody knows better."""
    network = 0 if bundle is None or on_card else int(NETWORK_FACTOR * folder_bytes(bundle))
    memory = BASE_BYTES + BYTES_PER_PIXEL * pixels + network
    return Needs(threads, memory)


def default_threads() -> int:
    """Threads of a file on an engine where nobody says."""
    return min(DEFAULT_THREADS, os.cpu_count() or 1)


def folder_bytes(folder: str) -> int:
    """Bytes of the files in a bundle's folder."""
    return sum(file.stat().st_size for file in Path(folder).iterdir() if file.is_file())


def bound_threads(threads: int) -> None:
    """Bounds OpenCV, which knows no bound but the process's; all else takes its own by argument."""
    cv2.setNumThreads(threads)
