"""The errors of the kernels, and the base of all of keeprt's: this is the lowest floor."""


class KeeprtError(Exception):
    """Base of every error raised on purpose; its message says what, where and what to do."""


class UsageError(KeeprtError, ValueError):
    """An option or argument that cannot be honoured."""


class BackendError(KeeprtError):
    """A library, driver or card that is missing, or that cannot run what it was given."""


class FaceError(KeeprtError):
    """Faces that cannot be detected, aligned or put back."""
