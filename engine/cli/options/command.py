"""A command whose options are checked before it runs."""

from __future__ import annotations

import logging
from typing import Any

from typer.core import TyperCommand

from keeprt.engine.cli.options.check import Asked, check
from keeprt.engine.cli.terminal.console import output
from keeprt.engine.media.places import STANDARD

log = logging.getLogger(__name__)


class CheckedCommand(TyperCommand):
    """Refuses what cannot be honoured between reading the command line and the command itself."""

    def invoke(self, ctx: Any) -> Any:
        """Raises UsageError."""
        asked = Asked.of(ctx)
        check(asked)
        output.stderr = str(asked.values.get("json", asked.values.get("json_file"))) == STANDARD
        for flag, name in asked.names.items():
            origin = "" if flag in asked.given else " (default)"
            log.debug("%s %s%s", flag, asked.values[name], origin)
        return super().invoke(ctx)
