"""The operator's side of the wire: status and events out, commands in, the preview.

Interface: `desk = Desk(channel, say, status, ...)`; `desk.turn(now_s)` at every turn of the wire's
loop: nothing in it waits. `desk.do(command)` gives the `Answer`, with the number of the tick from
which the command holds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from keeprt.engine.errors import KeeprtError, UsageError
from keeprt.engine.live.control.process import ControlProcess
from keeprt.engine.live.preview import PreviewWriter
from keeprt.engine.live.restoring.link import ProcessRestoring
from keeprt.engine.live.status import Answer, Command, Status
from keeprt.engine.live.wire.channel import Channel
from keeprt.engine.live.wire.pictures import preview_size, rgb

STATUS_S = 0.2
KEEP_S = 0.25
MOST_PREVIEWS = 25.0
NOTHING_RESTORED = "nothing is restored on this channel: it was started without --bundle"


class Desk:
    """`status` makes the status, `stop` ends the channel."""

    def __init__(
        self,
        channel: Channel,
        status: Callable[[], Status],
        stop: Callable[[], None],
        control: ControlProcess | None = None,
        restoring: ProcessRestoring | None = None,
    ) -> None:
        self.channel, self.control, self._restoring = channel, control, restoring
        self._status, self._stop = status, stop
        self._sent = 0  # number of the last event that was sent
        self._status_s = self._keep_s = self._preview_s = float("-inf")
        self._previews = 0.0  # a second
        self._linked: object = None

    def turn(self, now_s: float) -> None:
        """See the module."""
        control = self.control
        if control is None:
            return
        if now_s - self._keep_s >= KEEP_S:
            self._keep_s = now_s
            if why := control.keep(now_s):
                self.channel.meters.event("warning", "control", why)
        link = control.link
        if link is None:
            return
        if link is not self._linked:  # a new one knows nothing yet
            self._linked, self._sent, self._previews = link, 0, 0.0
        for message in link.receive():
            if isinstance(message, Command):
                link.send(self.do(message))
        for event in list(self.channel.meters.events):
            if event.number > self._sent:
                self._sent = event.number
                link.send(event)
        if now_s - self._status_s >= STATUS_S:
            self._status_s = now_s
            link.send(self._status())
        if self._previews and now_s - self._preview_s >= 1 / self._previews:
            self._preview_s = now_s
            self._show(control.writer)

    def do(self, command: Command) -> Answer:
        """Obeys, or says why not."""
        try:
            return Answer(command.number, self._do(command.name, dict(command.values)))
        except (KeeprtError, KeyError, TypeError, ValueError) as error:
            text = str(error) if isinstance(error, KeeprtError) else repr(error)
            return Answer(command.number, self.channel.next_offered(), text)

    def _do(self, name: str, values: dict[str, Any]) -> int:
        if name == "set":
            if self._restoring is None and values.get("bypass") is False:
                raise UsageError(NOTHING_RESTORED)
            return self.channel.set(values)
        if name == "stop":
            self._stop()
        elif name == "preview":
            self._previews = min(MOST_PREVIEWS, max(0.0, float(values["rate"])))
        elif name in ("reset", "choose", "reload"):
            self._faces(name, values)
            self.channel.meters.event("info", "command", f"{name} {values or ''}".strip())
        else:
            raise UsageError(f"there is no command {name!r}")
        return self.channel.next_offered()

    def _faces(self, name: str, values: dict[str, Any]) -> None:
        if self._restoring is None:
            raise UsageError(NOTHING_RESTORED)
        if name == "reset":
            self._restoring.reset()
        elif name == "choose":
            place = (float(values["x"]), float(values["y"])) if values else None
            if place is not None and not all(0 <= one <= 1 for one in place):
                raise UsageError(f"a place of {place}: give x and y from 0 to 1")
            self._restoring.choose(place)
        else:
            self._reload(str(values.get("bundle") or self._restoring.worker.bundle))

    def _reload(self, bundle: str) -> None:
        assert self._restoring is not None
        if not (Path(bundle) / "manifest.json").is_file():
            raise UsageError(f"{bundle} is no bundle: it holds no manifest.json")
        self._restoring.reload(bundle)

    def _show(self, writer: PreviewWriter | None) -> None:
        shown = self.channel.last_shown
        if writer is None or shown is None:
            return
        held, frame = shown
        size = preview_size(frame.width, frame.height)
        before = rgb(held.original_frame, *size)
        after = before if frame is held.original_frame else rgb(frame, *size)
        writer.write(self.channel.meters.frame, *size, before, after)
