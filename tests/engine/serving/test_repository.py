"""The model repository as text, and what may not be asked of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from keeprt.engine.errors import BundleError, UsageError
from keeprt.engine.serving.triton_repository import ServingOptions, write_repository


def test_a_repository_names_its_bundle_and_its_tensors(tiny_bundle: Path, tmp_path: Path) -> None:
    options = ServingOptions(faces=2, sequences=5, idle_s=1.5, delay_ms=20, load={"threads": 1})
    folder = write_repository(tiny_bundle, tmp_path / "repo", options)
    text = (folder / "config.pbtxt").read_text()
    assert text.count("{") == text.count("}") and text.count("[") == text.count("]")
    assert "max_batch_size: 2" in text and "max_candidate_sequences: 5" in text
    assert "max_sequence_idle_microseconds: 1500000" in text
    assert "max_queue_delay_microseconds: 20000" in text
    quoted = re.search(r"string_value: (\".*\")", text)
    assert quoted is not None
    asked = json.loads(json.loads(quoted[1]))
    assert asked["load"] == {"max_faces": 2, "threads": 1} and asked["sequences"] == 5
    assert Path(asked["bundle"]) == tiny_bundle.resolve()
    model = (folder / "1" / "model.py").read_text()
    assert "TritonModel as TritonPythonModel" in model and len(model.splitlines()) < 15


def test_a_lone_channel_waits_for_nobody_unless_asked_to(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = write_repository(tiny_bundle, tmp_path, ServingOptions())
    assert "delay" not in (folder / "config.pbtxt").read_text()


def test_what_is_there_is_kept(tiny_bundle: Path, tmp_path: Path) -> None:
    write_repository(tiny_bundle, tmp_path, ServingOptions())
    with pytest.raises(UsageError, match="exists already"):
        write_repository(tiny_bundle, tmp_path, ServingOptions())


def test_a_damaged_bundle_leaves_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(tiny_bundle, tmp_path / "broken")
    (broken / "decoder.onnx").write_bytes(b"")
    with pytest.raises(BundleError):
        write_repository(broken, tmp_path / "repo", ServingOptions())
    assert not (tmp_path / "repo").exists()


@pytest.mark.parametrize(
    "wrong", [{"faces": 0}, {"sequences": 0}, {"idle_s": 0.0}, {"delay_ms": -1.0}]
)
def test_impossible_options_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        ServingOptions(**wrong)  # type: ignore[arg-type]
