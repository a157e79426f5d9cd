"""The JSON that commands write: one envelope for all of them."""

from keeprt.engine.summaries.envelope import (
    LIBRARIES,
    STDOUT,
    as_text,
    cpu_model,
    envelope,
    library_versions,
    opened,
    public_command,
    spelled,
    this_machine,
    write_summary,
    write_text,
)

__all__ = [
    "LIBRARIES",
    "STDOUT",
    "as_text",
    "cpu_model",
    "envelope",
    "library_versions",
    "opened",
    "public_command",
    "spelled",
    "this_machine",
    "write_summary",
    "write_text",
]
