"""Where a frame runs."""
