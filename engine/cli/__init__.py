"""The command `keeprt`."""

from keeprt.engine.cli.app import main

__all__ = ["main"]
