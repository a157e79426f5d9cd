"""The options of every command: each declared once, and checked by one piece before any work."""

# In this order they stand in docs/options.md and are checked, whichever command is loaded first.
from keeprt.engine.cli.options import (  # noqa: F401, I001
    many,
    network,
    pictures,
    results,
    measuring,
    making,
    evaluating,
    channel,
    training,
    verifying,
)
