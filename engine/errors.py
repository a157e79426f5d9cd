"""The errors that keeprt raises: one base, and one class per thing a caller may want to catch."""

from keeprt.kernels.errors import BackendError, FaceError, KeeprtError, UsageError

__all__ = [
    "BackendError",
    "BundleError",
    "CheckpointError",
    "FaceError",
    "KeeprtError",
    "MediaError",
    "StateError",
    "UsageError",
]


class BundleError(KeeprtError):
    """A bundle that is missing, damaged, of another format, or of another network."""


class CheckpointError(KeeprtError):
    """Weights that cannot be fetched, read, or fitted to the network."""


class StateError(KeeprtError):
    """A latent state that belongs to another network, or that was already advanced."""


class MediaError(KeeprtError):
    """A video or image that cannot be read or written."""
