"""docs/live.md: its unit, its container file and its configuration are what their readers take."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import typer

from keeprt.engine.cli.app import app
from keeprt.engine.cli.options.config import read
from keeprt.engine.live.control.server import PAGES
from keeprt.engine.live.options import LiveOptions
from keeprt.engine.live.states import Bypass, State
from tests.pages import ROOT, blocks_of

BLOCKS = blocks_of("docs/live.md")
TEXT = (ROOT / "docs" / "live.md").read_text(encoding="utf-8")
INSTRUCTIONS = {
    *("CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "HEALTHCHECK"),
    *("RUN", "STOPSIGNAL", "USER"),
}


def block(language: str) -> str:
    (found,) = [one.text for one in BLOCKS if one.language == language]
    return found


def options() -> dict[str, str]:
    """The flags of `keeprt live`, each with the name of its parameter."""
    command = typer.main.get_command(app).commands["live"]  # type: ignore[attr-defined]
    return {flag: str(one.name) for one in command.params for flag in (*one.opts, str(one.name))}


def test_the_configuration_is_one(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text(block("toml"))
    values = read(path, list(options().values()))
    assert values == tomllib.loads(block("toml"))
    strength = {"faces", "strength"}
    LiveOptions(**{name: one for name, one in values.items() if name not in strength})


def test_every_flag_that_is_named_is_one() -> None:
    named = set(re.findall(r"`(--[a-z][a-z-]+)", TEXT))
    assert len(named) > 6
    assert named - set(options()) - {"--network", "--gpus"} == set()


def test_all_states_and_reasons_are_explained() -> None:
    for state in State:
        assert f"| {state} |" in TEXT
    for reason in Bypass:
        assert str(reason) in TEXT


def test_all_events_are_explained() -> None:
    said = re.compile(r"(?:event|tell)\(\s*(?:level|\"\w+\"), \"([\w ]+)\"")
    code = "".join(path.read_text("utf-8") for path in (ROOT / "engine" / "live").rglob("*.py"))
    names = set(said.findall(code))
    assert len(names) > 8
    assert {name for name in names if f"| {name} | " not in TEXT} == set()


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    unit = tmp_path / "keeprt@.service"
    unit.write_text(block("ini").replace("/opt/keeprt/bin/keeprt", "/bin/true"))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True
    )
    said = [line for line in done.stderr.splitlines() if "keeprt" in line]
    assert (done.returncode, said) == (0, [])


def test_the_container_file_is_one() -> None:
    lines = re.sub(r"\\\n", " ", block("dockerfile")).strip().splitlines()
    instructions = [line.split(maxsplit=1) for line in lines if line]
    assert instructions[0][0] == "FROM"
    assert {name for name, _ in instructions} <= INSTRUCTIONS
    for name, rest in instructions:
        if name in ("CMD", "ENTRYPOINT"):
            assert all(isinstance(word, str) for word in json.loads(rest))
        elif name == "RUN":
            subprocess.run(["sh", "-n", "-c", rest], check=True)
        elif name == "HEALTHCHECK":
            command = json.loads(rest[rest.index("[") :])
            compile(command[-1], "HEALTHCHECK", "exec")


def test_the_commands_of_the_page_are_ones() -> None:
    for one in BLOCKS:
        if one.language == "sh":
            for line in one.text.splitlines():
                if line.startswith("keeprt live"):
                    flags = {word for word in shlex.split(line) if word.startswith("--")}
                    assert flags <= set(options()), str(one)


def test_every_request_of_the_page_is_served() -> None:
    source = (ROOT / "engine" / "live" / "control").glob("*.py")
    code = "".join(path.read_text(encoding="utf-8") for path in source)
    for path in re.findall(r"`(?:GET|POST|PATCH|WS) (/[\w/]+)`", TEXT):
        assert f'"{path}"' in code or path in PAGES, path
