"""The doctor's report on machines that lack things."""

from __future__ import annotations

import sys

import pytest

from keeprt.engine import doctor
from keeprt.engine.devices.cuda.driver import Card, Driver
from keeprt.engine.errors import BackendError
from keeprt.engine.libraries.tensorrt.flavours import FLAVOURS, Flavour
from keeprt.kernels.installing import install, install_onnxruntime


def by_subject(findings: list[doctor.Finding]) -> dict[str, doctor.Finding]:
    return {finding.subject: finding for finding in findings}


def no_driver() -> Driver:
    raise BackendError("no NVIDIA driver on this machine; run `keeprt doctor`")


def driver_with(*targets: str) -> Driver:
    cards = tuple(Card(i, f"Card {t}", t, 24 << 30) for i, t in enumerate(targets))
    return Driver((13, 0), cards)


def test_a_machine_without_a_driver(monkeypatch):
    monkeypatch.setattr(doctor, "find_driver", no_driver)
    found = by_subject(doctor.examine())
    assert found["NVIDIA driver"].state == "missing"
    assert "keeprt doctor" not in found["NVIDIA driver"].found
    assert found["advice"].found == "no GPU: use the backend onnxruntime on the CPU"
    assert found["backend onnxruntime"].state == "ok"


@pytest.mark.parametrize(
    ("target", "flavour"), [("sm89", "rtx"), ("sm120", "rtx"), ("sm90", "tensorrt")]
)
def test_the_flavour_that_fits_the_card_is_advised_with_its_command(monkeypatch, target, flavour):
    monkeypatch.setattr(doctor, "find_driver", lambda: driver_with(target))
    found = by_subject(doctor.examine())
    assert found["GPU 0"].found == f"Card {target}, {target}, 24.0 GiB"
    assert found["advice"].found == f"Card {target}: flavour {flavour}"
    assert found["advice"].remedy == (
        f"{install(flavour)}; keeprt build BUNDLE --flavor {flavour} --target {target}"
    )


def test_a_missing_wheel_is_told_with_its_extra(monkeypatch):
    monkeypatch.setitem(FLAVOURS, "rtx", Flavour("rtx", "no_such_module", "rtx", ("sm89",)))
    finding = by_subject(doctor.examine())["backend rtx"]
    assert (finding.state, finding.remedy) == ("missing", install("rtx"))


def test_the_detector_is_looked_for(monkeypatch, tmp_path):
    assert by_subject(doctor.examine())["face detector"].state == "ok"
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    finding = by_subject(doctor.examine())["face detector"]
    assert (finding.state, finding.found) == ("missing", "finding faces needs ONNX Runtime")
    assert finding.remedy == install_onnxruntime()


def test_a_card_that_the_flavour_cannot_serve(monkeypatch):
    pytest.importorskip("tensorrt_rtx", reason="needs keeprt[rtx]")
    monkeypatch.setattr(doctor, "find_driver", lambda: driver_with("sm90"))
    finding = by_subject(doctor.examine())["backend rtx"]
    assert finding.state == "note" and "not for Card sm90 (sm90)" in finding.found


def test_video_engines_are_told_by_their_libraries():
    def absent(name: str) -> object:
        raise OSError(name)

    found = by_subject(doctor._video(load=absent))
    assert found["NVENC"].state == found["NVDEC"].state == "missing"
    assert found["NVENC"].found == "libnvidia-encode.so.1 is not there"
    present = by_subject(doctor._video(load=lambda name: object()))
    assert all("is not there" not in finding.found for finding in present.values())
