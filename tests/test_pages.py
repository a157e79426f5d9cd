"""The code blocks of README.md and docs/, executed from the pages themselves.

Every block runs in one folder that holds what the pages speak of: `bundle` (of the tiny network),
`interview.mp4` and so on. What is put in place of a page's text is in the tables here.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import typer

from keeprt.engine import load_bundle
from keeprt.engine.cli.app import app
from keeprt.engine.errors import KeeprtError
from keeprt.export.precision.graph_copy import convert_bundle
from tests.engine.pipeline_clips import one_face, write_clip
from tests.networks import export_cached, faces
from tests.pages import NOT_RUN, ROOT, Block, blocks_of

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "docs/accuracy.md",
    "docs/architecture.md",
    "docs/benchmarking.md",
    "docs/deploying.md",
)
BLOCKS = [block for page in PAGES for block in blocks_of(page)]
# What a command becomes here, the first that matches: a tenth of the work, or no network.
SHORTER = (
    (r"pip install \S+( \S+)?", "true"),  # the environment of the tests is installed already
    (r"python -m venv \.venv", "true"),
    (r"\. \.venv/bin/activate", "true"),
    (r"\.ci/run", "true"),  # it runs these tests
    (r"ruff check --fix \.", "ruff check --version"),
    (r"ruff format \.", "ruff format --version"),
    (r"(python -m pytest)( -n 2 --dist loadfile| -m [\w\" ]+| tests/\S+)?", r"\1 --help\2"),
    (r"keeprt demo", "keeprt demo --frames 2 --reference-frames 1"),
    (r"keeprt export .*--precision \S+ .*", "keeprt inspect bundle-mixed"),  # one is enough
    (r"--weights official", "--weights synthetic:3"),  # 634 MB from the network otherwise
    (r"keeprt bench bundle (--mode both)", r"keeprt bench bundle \1 --rounds 1 --frames 1"
                                           r" --chunk 2 --rivals none"),
    (r"keeprt verify bundle", "keeprt verify bundle --frames 2 --samples 2"),
    (r"keeprt evaluate bundle", "keeprt evaluate bundle --frames 2 --level mild"
                                " --methods degraded,stream"),
    (r"(keeprt bench bundle --video \S+)", r"\1 --rounds 1"),
    (r"precision\.study --", "precision.study --frames 2 --"),
)  # fmt: skip
NOT_HERE = {
    "it needs a card and its plans": "keeprt bench bundle --backend rtx",
    "takes minutes for each target": "keeprt build",
    "the files are those of a run of yours": "polygraphy",
    "a machine with other load may well say yes": "--baseline",
    "the second command needs a card": "keeprt verify bundle --backend tensorrt",
    "half a gigabyte from the network": "keeprt.benchmarks.evaluate.lpips_file",
    "takes minutes for each policy": "python -m keeprt.benchmarks.precision.table",
    "it runs for minutes": "keeprt bench bundle --scenario live",
}
# Names that a page's Python takes for given, and what they are here.
GIVEN: dict[str, Any] = {"frames": faces(3), "face_a": faces(1)[0], "face_b": faces(1, seed=1)[0]}


def runnable(language: str) -> list[Any]:
    """The blocks of a language that are not marked and run on no card, as parameters."""
    found = [b for b in BLOCKS if b.language == language and '"rtx"' not in b.text]
    return [pytest.param(b, id=str(b)) for b in found if b.reason_not_to_run is None]


def shortened(text: str) -> str:
    """A shell block with what `SHORTER` puts in place of its commands."""
    for pattern, replacement in SHORTER:
        text = re.sub(pattern, replacement, text)
    return text


@pytest.fixture(scope="module")
def folder(tiny: Any, bundles: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the pages speak of, and programs under their names."""
    here = tmp_path_factory.mktemp("pages")
    bundle = export_cached(tiny, bundles)
    (here / "bundle").symlink_to(bundle)
    convert_bundle(load_bundle(bundle), here / "bundle-mixed", "mixed")
    write_clip(here / "interview.mp4", one_face(4))
    for name in ("face.mp4", "sharp.mp4"):
        (here / name).symlink_to("interview.mp4")
    (here / "tapes").mkdir()
    shutil.copy(here / "interview.mp4", here / "tapes")
    programs = {"keeprt": "-m tests.tiny_keeprt", "python": "", "ruff": "-m ruff"}
    (here / "bin").mkdir()
    for name, how in programs.items():
        program = here / "bin" / name
        program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {how} "$@"\n')
        program.chmod(0o755)
    return here


def run_shell(text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=600,
    )


@pytest.mark.slow
@pytest.mark.parametrize("block", runnable("sh"))
def test_a_shell_block_runs(block: Block, folder: Path) -> None:
    text, link = shortened(block.text), folder / "bundle"
    if "keeprt export" in text and link.is_symlink():
        link.unlink()  # the block makes its own
    for written in re.findall(r"keeprt restore \S+ (\S+)", text):
        (folder / written).unlink(missing_ok=True)  # several pages write under one name
    done = run_shell(text, folder)
    assert done.returncode == 0, (str(block), done.stdout[-2000:], done.stderr[-2000:])


def run_python(text: str, names: dict[str, Any]) -> None:
    """Statement by statement; one whose line says "# wrong" must be refused by an error of ours."""
    lines = text.splitlines()
    for node in ast.parse(text).body:
        code = compile(ast.Module([node], []), "page", "exec")
        if "# wrong" in lines[(node.end_lineno or 1) - 1]:
            with pytest.raises(KeeprtError):
                exec(code, names)
        else:
            exec(code, names)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = [param.values[0] for param in runnable("python") if param.values[0].page == page]
    monkeypatch.chdir(folder)
    names = dict(GIVEN)
    for block in blocks:
        names.setdefault("frame", GIVEN["frames"][0])
        run_python(block.text, names)


def test_every_block_is_run_or_says_why_not() -> None:
    for block in BLOCKS:
        assert block.language in ("sh", "python", ""), f"{block}: say sh or python"
        reason = block.reason_not_to_run
        if reason is not None:
            assert NOT_HERE[reason] in block.text, str(block)
    reasons = {block.reason_not_to_run for block in BLOCKS} - {None}
    assert reasons == NOT_HERE.keys()
    assert sum(block.page == "README.md" for block in BLOCKS) >= 4


def commands_of(text: str) -> list[list[str]]:
    """The words of each `keeprt` command of a shell block."""
    joined = text.replace("\\\n", " ").replace("&&", "\n").replace("|", "\n")
    split = [shlex.split(line, comments=True) for line in joined.splitlines()]
    return [words[1:] for words in split if words[:1] == ["keeprt"]]


def test_the_commands_and_options_on_every_page_exist() -> None:
    """Those of blocks that are not run, and of pages that are not listed, too."""
    known = typer.main.get_command(app)
    pages = sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))
    checked = 0
    for block in [block for page in {*PAGES, *pages} for block in blocks_of(page)]:
        for words in commands_of(block.text) if block.language in ("sh", "bash") else []:
            command: Any = known
            while words and words[0] in getattr(command, "commands", {}):
                command = command.commands[words.pop(0)]
            options = {name for option in command.params for name in option.opts} | {"--help"}
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert given <= options, (str(block), given - options)
            checked += 1
    assert checked > 10


def test_every_python_block_of_every_page_is_python() -> None:
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for block in blocks_of(str(page.relative_to(ROOT))):
            if block.language == "python":
                ast.parse(block.text, str(block))


def test_the_front_page_is_read_to_the_end() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 150
    picture = re.search(r"!\[[^\]]+\]\((docs/[\w-]+\.(?:png|svg))\)", text)
    assert picture and (ROOT / picture[1]).stat().st_size < 300_000


@pytest.mark.slow
def test_the_picture_is_drawn_by_its_script(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn = tmp_path / "drawn.png"
    command = [sys.executable, ROOT / "docs" / "make_picture.py", drawn]
    subprocess.run(command, check=True, env={**os.environ, "MPLBACKEND": "Agg"}, timeout=120)
    assert drawn.read_bytes().startswith(b"\x89PNG") and drawn.stat().st_size < 300_000


@pytest.mark.slow
def test_a_block_that_fails_is_seen(folder: Path) -> None:
    assert run_shell("keeprt restore nothing.mp4 out.mp4 --bypass", folder).returncode == 2
    with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        run_python("x = 1\ny = 2  # wrong: nothing refuses it", {})
    with pytest.raises(NameError):
        run_python("for frame in framez:\n    pass", {})


def test_a_marked_block_says_its_reason() -> None:
    text = textwrap.dedent(f"""\
        {NOT_RUN}because
        keeprt build bundle
        """)
    assert Block("page.md", 1, "sh", text).reason_not_to_run == "because"
    assert Block("page.md", 1, "sh", "keeprt demo\n").reason_not_to_run is None
