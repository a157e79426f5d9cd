"""The requests of the control page, one function each, and how errors become answers.

| request | answer |
| --- | --- |
| `GET /api/status` | all of `Status`, and `age_ms` |
| `PATCH /api/settings` | `frame`: the number of the tick from which it holds |
| `POST /api/reset`, `/api/choose`, `/api/reload`, `/api/stop` | `frame`, as above |
| `GET /metrics` | the text that Prometheus reads |
| `GET /healthz`, `/readyz` | 200 or 503, and one word |

Every error is `{"error": "one line"}`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from keeprt.engine.errors import UsageError
from keeprt.engine.live.control import asking
from keeprt.engine.live.control.hub import Hub, WireError
from keeprt.engine.live.control.metrics import exposition

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Any]


class Api:
    """`hub`: the wire."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[web.RouteDef]:
        """All of the table above."""
        return [
            web.get("/api/status", self.status),
            web.patch("/api/settings", self._command("set", asking.settings)),
            web.post("/api/reset", self._command("reset", asking.nothing)),
            web.post("/api/choose", self._command("choose", asking.place)),
            web.post("/api/reload", self._command("reload", asking.bundle)),
            web.post("/api/stop", self._command("stop", asking.nothing)),
            web.get("/metrics", self.metrics),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
        ]

    async def status(self, _: web.Request) -> web.Response:
        """All that is known."""
        age_s = self._hub.age_s
        if age_s is None:
            raise WireError("the channel has said nothing yet")
        return web.json_response({**asdict(self._hub.status), "age_ms": round(age_s * 1e3)})

    async def metrics(self, request: web.Request) -> web.Response:
        """The status for Prometheus."""
        text, kind = exposition(self._hub.status, request.headers.get("Accept", ""))
        return web.Response(body=text, headers={"Content-Type": kind})

    async def healthz(self, _: web.Request) -> web.Response:
        """Whether the last tick is younger than two periods."""
        return _word(self._hub.is_heard and self._hub.status.healthy, "healthy")

    async def readyz(self, _: web.Request) -> web.Response:
        """Whether the output ticks and the input is locked."""
        return _word(self._hub.is_heard and self._hub.status.ready, "ready")

    def _command(self, name: str, values: Callable[[object], dict[str, Any]]) -> Handler:
        async def handle(request: web.Request) -> web.Response:
            answer = await self._hub.command(name, values(await _body(request)))
            if answer.error:
                return refused(409, answer.error)
            return web.json_response({"frame": answer.frame})

        return handle


async def _body(request: web.Request) -> object:
    """The JSON of a body; of an empty one an empty object."""
    try:
        text = await request.text() if request.can_read_body else ""
        return json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError):
        raise UsageError("the body is no JSON") from None


def refused(status: int, why: str) -> web.Response:
    """An error's answer."""
    headers = {"WWW-Authenticate": 'Bearer realm="keeprt"'} if status == 401 else None
    return web.json_response({"error": why}, status=status, headers=headers)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What is raised becomes an answer; nothing of a request but its path is logged."""
    try:
        response: web.StreamResponse = await handler(request)
    except UsageError as error:
        return refused(400, str(error))
    except WireError as error:
        return refused(504, str(error))
    except web.HTTPException as error:
        return refused(error.status, error.reason)
    except Exception as error:
        log.error("%s %s: %r", request.method, request.path, error)
        return refused(500, "an error of keeprt's own; its log says which")
    return response


def _word(holds: bool, word: str) -> web.Response:
    return web.Response(text=f"{word if holds else f'not {word}'}\n", status=200 if holds else 503)
