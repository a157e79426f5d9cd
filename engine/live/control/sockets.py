"""The two streams of the control page: events, and the preview.

`/api/events` sends each event as JSON with `"kind": "event"`, those first that are still kept (with
`?after=N` only newer ones), and with `?status=1` also `"kind": "status"` as the wire says it.
`/preview` sends, for each picture, a text message {"frame", "width", "height"} and a binary one, a
JPEG of twice that width: before on the left, after on the right.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import WSCloseCode, web

from keeprt.engine.live.control.hub import Hub
from keeprt.engine.live.control.pictures import PreviewFeed
from keeprt.engine.live.status import message

MOST_SOCKETS = 32
HEARTBEAT_S = 20.0  # whoever does not answer is gone
CLOSING_S = 0.2
NO_PREVIEW = 4404  # why `/preview` is closed at once, with --preview off
LARGEST_FROM_BROWSER = 1024
Sender = Callable[[web.WebSocketResponse], Awaitable[None]]


class Sockets:
    """All that are open."""

    def __init__(self, hub: Hub, feed: PreviewFeed) -> None:
        self._hub, self._feed = hub, feed
        self._open: set[web.WebSocketResponse] = set()

    async def events(self, request: web.Request) -> web.StreamResponse:
        """`/api/events`."""
        after = request.query.get("after", "0")
        if not (after.isascii() and after.isdecimal() and len(after) < 19):
            raise web.HTTPBadRequest(reason="after is no number of an event")
        with_status = request.query.get("status") == "1"

        async def send(socket: web.WebSocketResponse) -> None:
            await self._send_events(socket, int(after), with_status)

        return await self._serve(request, send)

    async def preview(self, request: web.Request) -> web.StreamResponse:
        """`/preview`."""
        return await self._serve(request, self._send_preview)

    async def close(self) -> None:
        """Tells all that the channel ends."""
        ends = (one.close(code=WSCloseCode.GOING_AWAY) for one in list(self._open))
        await asyncio.gather(*ends, return_exceptions=True)

    async def _serve(self, request: web.Request, send: Sender) -> web.StreamResponse:
        if len(self._open) >= MOST_SOCKETS:
            raise web.HTTPServiceUnavailable(reason=f"{MOST_SOCKETS} sockets are open already")
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, timeout=CLOSING_S, max_msg_size=LARGEST_FROM_BROWSER
        )
        if not socket.can_prepare(request).ok:
            raise web.HTTPUpgradeRequired(reason="this is a WebSocket")
        await socket.prepare(request)
        self._open.add(socket)
        try:
            await _first_of(_until_closed(socket), send(socket))
        finally:
            self._open.discard(socket)
            await socket.close()
        return socket

    async def _send_events(
        self, socket: web.WebSocketResponse, after: int, with_status: bool
    ) -> None:
        turn = 0
        while True:
            turn = await self._hub.changed(turn) if turn else self._hub.turn
            for event in self._hub.after(after):
                await socket.send_str(message(event).decode())
                after = event.number
            if with_status and self._hub.is_heard:
                await socket.send_str(message(self._hub.status).decode())

    async def _send_preview(self, socket: web.WebSocketResponse) -> None:
        if self._feed.reader is None:
            await socket.close(code=NO_PREVIEW, message=b"--preview off")
            return
        with self._feed.watching():
            number = -1
            while True:
                picture = await self._feed.newer(number)
                number = picture.number
                head = {"frame": number, "width": picture.width, "height": picture.height}
                await socket.send_str(json.dumps(head))
                await socket.send_bytes(picture.jpeg)


async def _until_closed(socket: web.WebSocketResponse) -> None:
    async for _ in socket:
        pass  # what a browser says here means nothing


async def _first_of(*work: Awaitable[None]) -> None:
    """Until one of them ends; the others are cancelled. Whoever left is no error."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception) and not isinstance(end, ConnectionError):
            raise end
