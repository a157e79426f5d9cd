"""The control page's server: who may ask, what is served, and its end.

Interface: `await serve(link, listening, token, reader)` until the wire closes the link or SIGTERM
comes; then all sockets are told, and it is over within a second.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from importlib.resources import files

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from keeprt.engine.live.control.api import Api, Handler, errors, refused
from keeprt.engine.live.control.guard import COOKIE, SESSION_S, Asked, Guard
from keeprt.engine.live.control.hub import Hub
from keeprt.engine.live.control.pictures import PreviewFeed
from keeprt.engine.live.control.sockets import Sockets
from keeprt.engine.live.link import Link
from keeprt.engine.live.preview import PreviewReader

LARGEST_BODY = 1 << 16
ENDING_S = 0.5
WRONG_TOKEN_S = 0.5  # before the answer
READ_ONLY = ("GET", "HEAD")
PAGES = {
    "/": "page.html",
    "/page.css": "page.css",
    "/page.js": "page.js",
    "/drawing.js": "drawing.js",
    "/login": "login.html",
    "/login.css": "login.css",
    "/icon.svg": "icon.svg",
}
TYPES = {
    "html": "text/html",
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "keeprt",
}


def application(hub: Hub, token: str | None, reader: PreviewReader | None) -> web.Application:
    """All of it; `reader` None: without a preview."""
    guard, sockets = Guard(token), Sockets(hub, PreviewFeed(hub, reader))
    app = web.Application(middlewares=[errors, _guarded(guard)], client_max_size=LARGEST_BODY)
    app.add_routes(Api(hub).routes())
    app.add_routes([web.get("/api/events", sockets.events), web.get("/preview", sockets.preview)])
    app.add_routes([web.get(path, _page(name)) for path, name in PAGES.items()])
    app.add_routes([web.post("/login", _log_in(guard))])
    app.on_response_prepare.append(_make_safe)
    app.on_shutdown.append(lambda _: sockets.close())
    return app


async def serve(
    link: Link, listening: socket.socket, token: str | None, reader: PreviewReader | None
) -> None:
    """Until the wire closes the link or SIGTERM comes."""
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    hub = Hub(link)

    def read() -> None:
        hub.read()
        if link.closed:
            loop.remove_reader(link.fileno())
            over.set()

    loop.add_reader(link.fileno(), read)
    loop.add_signal_handler(signal.SIGTERM, over.set)
    runner = web.AppRunner(
        application(hub, token, reader), access_log=None, shutdown_timeout=ENDING_S
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        await over.wait()
    finally:
        await runner.cleanup()


def _guarded(guard: Guard) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = guard.refusal(_asked(request))
        if refusal is None:
            response: web.StreamResponse = await handler(request)
            return response
        if refusal[0] == 401 and "text/html" in request.headers.get("Accept", ""):
            return _file("login.html", status=401)
        return refused(*refusal)

    return middleware


def _asked(request: web.Request) -> Asked:
    headers = {name.lower(): value for name, value in request.headers.items()}
    changes = request.method not in READ_ONLY or hdrs.UPGRADE in request.headers
    return Asked(request.path, changes, headers, request.cookies.get(COOKIE, ""))


def _log_in(guard: Guard) -> Handler:
    async def log_in(request: web.Request) -> web.Response:
        token = str((await request.post()).get("token", ""))
        session = guard.log_in(token.strip())
        if session is None:
            await asyncio.sleep(WRONG_TOKEN_S)
            return _file("wrong.html", status=401)
        response = web.Response(status=303, headers={"Location": "./"})
        response.set_cookie(COOKIE, session, max_age=SESSION_S, httponly=True, samesite="Strict")
        return response

    return log_in


def _page(name: str) -> Handler:
    async def page(_: web.Request) -> web.Response:
        return _file(name)

    return page


def _file(name: str, status: int = 200) -> web.Response:
    text = (files(__package__) / "page" / name).read_text(encoding="utf-8")
    kind = TYPES[name.rpartition(".")[2]]
    return web.Response(text=text, content_type=kind, charset="utf-8", status=status)


async def _make_safe(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(SAFE)
