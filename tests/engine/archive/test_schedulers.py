"""The scripts for other schedulers in docs/scale.md: they are what they seem, and they work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.engine.media.clips import Clip, make_clip

PAGE = Path(__file__).parents[3] / "docs" / "scale.md"
NAMES = ("a.mp4", "odd [1] 50%.mov")


def script(language: str, word: str) -> str:
    """The only block of a language that holds a word."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
    (found,) = [block for block in blocks if word in block]
    return str(found)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "tapes").mkdir()
    for name in NAMES:
        make_clip(tmp_path / "tapes" / name, Clip(pts=(0, 1, 2), width=64, height=64))
    return tmp_path


def run(command: list[str], folder: Path, **environment: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def counts_as_done(archive: Path, bundle: Path, names: tuple[str, ...] = NAMES) -> None:
    """`keeprt archive` believes the receipts of the jobs."""
    said = run(["keeprt", "archive", "tapes", "restored", "--bundle", str(bundle)], archive)
    assert f"0 restored, {len(names)} done before, 0 failed" in said


def test_the_slurm_script_is_bash() -> None:
    subprocess.run(["bash", "-n"], input=script("bash", "SBATCH"), text=True, check=True)


@pytest.mark.slow
def test_the_slurm_script_restores_each_file_once(archive: Path, tiny_bundle: Path) -> None:
    (archive / "files.txt").write_text("\n".join(NAMES))
    (archive / "bundle").symlink_to(tiny_bundle)
    (archive / "job.sh").write_text(script("bash", "SBATCH"))
    for number in (1, 2, 2):
        task = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_CPUS_PER_TASK": "1"}
        said = run(["bash", "job.sh"], archive, **task)
    assert "was restored before" in said
    counts_as_done(archive, archive / "bundle")


@pytest.mark.slow
def test_the_argo_workflow_restores_a_file(archive: Path, tiny_bundle: Path) -> None:
    yaml = pytest.importorskip("yaml")
    workflow = yaml.safe_load(script("yaml", "argoproj"))
    templates = {one["name"]: one for one in workflow["spec"]["templates"]}
    (step,) = templates[workflow["spec"]["entrypoint"]]["steps"][0]
    (argument,) = step["arguments"]["parameters"]
    container = templates[step["template"]]["container"]
    shutil.copytree(tiny_bundle, archive / "bundle")
    (archive / "restored").mkdir()
    for name in NAMES:
        parameter = "{{inputs.parameters." + argument["name"] + "}}"
        given = [one.replace(parameter, name) for one in container["args"]]
        given = [one.replace("/archive/", f"{archive}/") for one in given]
        assert not [one for one in given if "{{" in one]
        run([*container["command"], *given], archive)
    counts_as_done(archive, archive / "bundle")


@pytest.mark.slow
def test_the_airflow_dag_restores_what_it_finds(
    archive: Path, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands: list[str] = []
    monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.decorators", decorators(commands))
    shutil.copytree(tiny_bundle, archive / "bundle")
    (archive / "restored").mkdir()
    source = script("python", "airflow").replace('"/archive"', repr(str(archive)))
    exec(compile(source, "dag.py", "exec"), {"__name__": "dag"})
    assert len(commands) == len(NAMES)
    for command in commands:
        run(["bash", "-c", command], archive)
    counts_as_done(archive, archive / "bundle")


def decorators(commands: list[str]) -> ModuleType:
    """Airflow's, as far as the script uses them: tasks run when they are called."""

    class Mapped:
        def __init__(self, function: Any) -> None:
            self._function = function

        def expand(self, name: list[str]) -> None:
            commands.extend(self._function(name=one) for one in name)

    def task(function: Any) -> Any:
        return function

    task.bash = lambda **_: Mapped  # type: ignore[attr-defined]
    module = ModuleType("airflow.decorators")
    vars(module).update(task=task, dag=lambda **_: lambda function: function)
    return module
