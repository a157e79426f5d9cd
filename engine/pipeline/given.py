"""The networks that a user's options name, tried before many files are begun with them."""

from __future__ import annotations

from pathlib import Path

from keeprt.engine.pipeline.looking import load_detector, load_embedding
from keeprt.engine.pipeline.options import RestoreOptions
from keeprt.engine.pipeline.upscaler import Upscaler


def try_given_networks(options: RestoreOptions) -> None:
    """Loads the detector, the identity network and the upscaler that are named, and drops them.

    Raises FaceError, UsageError or BackendError for one that is missing or cannot be loaded: the
    mistake is in the options, and no file's.
    """
    if isinstance(options.detector, Path):
        load_detector(options)
    load_embedding(options)
    if options.upscaler is not None:
        Upscaler(options.upscaler, options.scale, options.cpu_threads)
