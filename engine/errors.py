"""The errors that keeprt raises: one base, and one class per thing a caller may want to catch."""


class KeeprtError(Exception):
    """Base of every error raised on purpose; its message says what, where and what to do."""


class UsageError(KeeprtError, ValueError):
    """An option or argument that cannot be honoured."""


class BundleError(KeeprtError):
    """A bundle that is missing, damaged, of another format, or of another network."""


class CheckpointError(KeeprtError):
    """Weights that cannot be fetched, read, or fitted to the network."""


class BackendError(KeeprtError):
    """An inference library that is missing, or that cannot run what it was given."""


class StateError(KeeprtError):
    """A latent state that belongs to another network, or that was already advanced."""


class MediaError(KeeprtError):
    """A video or image that cannot be read or written."""


class FaceError(KeeprtError):
    """Faces that cannot be detected, aligned or put back."""
