"""`keeprt restore` on other backends, and one operation at a time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keeprt.engine import nvidia_driver
from keeprt.engine.errors import BackendError, MediaError
from keeprt.engine.media import hardware, open_source
from tests.engine.media.clips import Clip, make_clip

Command = Callable[..., tuple[int, str, str]]


def have_driver() -> bool:
    try:
        nvidia_driver.find_driver()
    except BackendError:
        return False
    return True


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "face.mp4", Clip(pts=(0, 1, 2, 3), width=96, height=96))


@pytest.mark.parametrize(
    "wanted",
    [
        ("--backend", "tensorrt"),
        ("--backend", "rtx"),
        ("--hwaccel", "cuda"),
        ("--codec", "h264_nvenc"),
    ],
)
def test_without_a_gpu_one_line_says_so(
    keeprt: Command, tmp_path: Path, source: Path, tiny_bundle: Path, wanted: tuple[str, str]
) -> None:
    if have_driver():
        pytest.skip("this machine has a driver")
    options = ("--aligned", "--bundle", tiny_bundle, *wanted)
    code, printed, said = keeprt("restore", source, tmp_path / "out.mp4", *options)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert (code, printed) == (2, "") and not (tmp_path / "out.mp4").exists()
    assert len(errors) == 1 and errors[0].startswith("error: no NVIDIA driver on this machine")
    assert errors[0].endswith("run `keeprt doctor`")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--backend", "abacus"), "unknown backend 'abacus'; there are onnxruntime, rtx, tensorrt"),
        (("--backend", "rtx", "--mode", "clip"), "'rtx' runs mode 'stream'"),
        (("--backend", "rtx", "--provider", "cuda"), "provider 'cuda' is one of onnxruntime"),
        (("--hwaccel", "abacus"), "unknown hwaccel 'abacus'; there is cuda"),
        (("--device", "1"), "a device and a stream are for backends that run on a card"),
    ],
)
def test_options_that_do_not_fit_the_backend(
    keeprt: Command,
    tmp_path: Path,
    source: Path,
    tiny_bundle: Path,
    options: tuple[str, ...],
    said: str,
) -> None:
    out = tmp_path / "out.mp4"
    code, _, errors = keeprt("restore", source, out, "--aligned", "--bundle", tiny_bundle, *options)
    assert code == 2 and said in errors and not out.exists()


@pytest.mark.parametrize("mode", ["stream", "clip"])
def test_eager_writes_the_same_bytes(
    keeprt: Command, tmp_path: Path, source: Path, tiny_bundle: Path, mode: str
) -> None:
    written = []
    for name, option in (("listed", ()), ("eager", ("--eager",))):
        out = tmp_path / f"{name}.mp4"
        common = ("--aligned", "--bundle", tiny_bundle, "--threads", 1, "--mode", mode)
        code, _, said = keeprt("restore", source, out, *common, *option)
        assert code == 0, said
        written.append(out.read_bytes())
    assert written[0] == written[1]


def test_what_a_card_decodes_is_opened_so(monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    """PyAV's own HWAccel, refusing to fall back; here FFmpeg then finds no driver."""
    if have_driver():
        pytest.skip("this machine has a driver")
    card = nvidia_driver.Card(0, "Test Card", "sm89", 1 << 34)
    monkeypatch.setattr(hardware, "require_card", lambda index: card)
    found = hardware.hardware_decoder("cuda")
    assert found is not None and not found.is_hw_owned
    with pytest.raises(MediaError, match=r"cannot read .*face.mp4 as a video"):
        open_source(source, hwaccel="cuda")
