"""Who may ask what: names of this machine, pages of other origins, tokens, sessions."""

from __future__ import annotations

import pytest

from keeprt.engine.live.control.guard import MOST_SESSIONS, SESSION_S, Asked, Guard

TOKEN = "correct-horse-battery"


def asked(
    changes: bool = False, cookie: str = "", path: str = "/api/status", **headers: str
) -> Asked:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Asked(path, changes, {"host": "127.0.0.1:8787", **named}, cookie)


@pytest.mark.parametrize("host", ["127.0.0.1:8787", "localhost:9000", "[::1]:8787", "127.0.0.1"])
def test_without_a_token_this_machine_may(host: str) -> None:
    assert Guard(None).refusal(asked(True, host=host)) is None


@pytest.mark.parametrize(
    "host", ["evil.example:8787", "127.0.0.1.evil.example", "", "10.0.0.7:8787", "[bad", "@"]
)
def test_a_name_made_to_lead_here_is_refused(host: str) -> None:
    refusal = Guard(None).refusal(asked(host=host))
    assert refusal is not None
    assert refusal[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"origin": "http://[bad"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_a_page_of_another_origin_changes_nothing(
    headers: dict[str, str], token: str | None
) -> None:
    guard = Guard(token)
    bearer = {"authorization": f"Bearer {TOKEN}"}
    refusal = guard.refusal(asked(True, **bearer, **headers))
    assert refusal is not None
    assert refusal[0] == 403
    ours = {"origin": "http://127.0.0.1:8787", "sec_fetch_site": "same-origin"}
    assert guard.refusal(asked(True, **bearer, **ours)) is None


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
)
def test_without_the_token_it_is_401(value: str) -> None:
    refusal = Guard(TOKEN).refusal(asked(authorization=value))
    assert refusal is not None
    assert refusal[0] == 401
    assert TOKEN not in refusal[1]


def test_with_the_token_any_name_may() -> None:
    guard = Guard(TOKEN)
    assert guard.refusal(asked(host="studio.example", authorization=f"bearer {TOKEN}")) is None


def test_probes_and_the_login_need_none() -> None:
    paths = ("/healthz", "/readyz", "/login")
    assert [Guard(TOKEN).refusal(asked(path=path)) for path in paths] == [None] * 3


def test_a_session_stands_for_the_token_until_it_ends() -> None:
    now = [1000.0]
    guard = Guard(TOKEN, lambda: now[0])
    assert guard.log_in("wrong") is None
    session = guard.log_in(TOKEN)
    assert session
    assert TOKEN not in session
    assert guard.refusal(asked(cookie=session)) is None
    assert guard.refusal(asked(cookie=session + "x")) is not None
    now[0] += SESSION_S
    assert guard.refusal(asked(cookie=session)) is not None


def test_sessions_are_bounded_and_the_oldest_goes() -> None:
    guard = Guard(TOKEN)
    sessions = [str(guard.log_in(TOKEN)) for _ in range(MOST_SESSIONS + 1)]
    assert guard.refusal(asked(cookie=sessions[0])) is not None
    assert guard.refusal(asked(cookie=sessions[1])) is None
    assert guard.refusal(asked(cookie=sessions[-1])) is None
