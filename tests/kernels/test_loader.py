"""Compiling, caching and loading: everything that goes without a GPU, on the real NVRTC."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from keeprt.engine.errors import BackendError, UsageError
from keeprt.kernels import cubin_cache, launch, loader, wheels
from keeprt.kernels.frame import LAYOUTS, FrameFormat
from keeprt.kernels.ptxas_report import parse_report

try:
    KNOWN = loader.supported_architectures()
except BackendError as error:
    KNOWN, REASON = (), str(error)
else:
    REASON = ""

needs_nvrtc = pytest.mark.skipif(not KNOWN, reason=REASON)

LOG = """
ptxas info    : 4 bytes gmem, 8 bytes cmem[4]
ptxas info    : Compiling entry function 'one' for 'sm_89'
ptxas info    : Function properties for one
ptxas         .     16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 2112 bytes smem, 392 bytes cmem[0]
ptxas info    : Compiling entry function 'two' for 'sm_89'
ptxas info    : Function properties for two
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 0 barriers
"""


@pytest.fixture
def one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "SOURCES", ("warp_by_flow",))


@pytest.mark.slow
@needs_nvrtc
@pytest.mark.parametrize("architecture", loader.ARCHITECTURES)
def test_every_kernel_compiles_without_warnings_and_spills(
    architecture: str, tmp_path: Path
) -> None:
    if architecture not in KNOWN:
        pytest.skip(f"this NVRTC does not compile for {architecture}")
    compiled = loader.compile_kernels([architecture], tmp_path)
    reports = [report for source in compiled for report in source.reports]
    assert {source.source for source in compiled} == set(loader.SOURCES)
    assert expected_kernels() == {report.kernel for report in reports}
    assert {report.architecture for report in reports} == {architecture}
    for report in reports:
        print(report)  # shown by -rP: registers and shared memory per kernel
        assert not report.spills and report.stack_bytes == 0, report
        assert report.registers <= 64, f"two blocks of 256 threads no longer fit: {report}"


def expected_kernels() -> set[str]:
    """Every kernel that a launch can name."""
    names = {"warp_by_flow", launch.face_to_picture(0, 0).kernel}
    names |= {launch.face_from_picture(0, 0, half=half).kernel for half in (False, True)}
    for pixel_format in LAYOUTS:
        format = FrameFormat(pixel_format, 8, 8)
        planes = tuple(range(len(format.plane_shapes())))
        names.add(launch.shrink(planes, format, 0, 1, 1).kernel)
        for half in (False, True):
            names.add(launch.crop_align(planes, format, 0, 0, 1, half=half).kernel)
            names.add(launch.paste_back(planes, format, 0, 0, 0, half=half).kernel)
    return names


@needs_nvrtc
@pytest.mark.usefixtures("one_source")
def test_second_compilation_comes_from_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = loader.compile_kernels([KNOWN[0]], tmp_path)
    monkeypatch.setattr(loader, "compile_source", None)
    second = loader.compile_kernels([KNOWN[0]], tmp_path)
    assert not any(source.from_cache for source in first)
    assert second == [replace(source, from_cache=True) for source in first]


@needs_nvrtc
@pytest.mark.parametrize("damage", ["truncated", "flipped", "empty", "header"])
@pytest.mark.usefixtures("one_source")
def test_damaged_cubin_is_compiled_again(damage: str, tmp_path: Path) -> None:
    first = loader.compile_kernels([KNOWN[0]], tmp_path)
    for path in tmp_path.iterdir():
        content = bytearray(path.read_bytes())
        content[-100] ^= 1
        path.write_bytes(
            {
                "truncated": bytes(path.read_bytes()[:-7]),
                "flipped": bytes(content),
                "empty": b"",
                "header": b"keeprt cubin 1\n[1]\nx",
            }[damage]
        )
    again = loader.compile_kernels([KNOWN[0]], tmp_path)
    assert not any(source.from_cache for source in again)
    assert [source.cubin for source in again] == [source.cubin for source in first]
    assert all(source.from_cache for source in loader.compile_kernels([KNOWN[0]], tmp_path))


@needs_nvrtc
def test_cache_is_keyed_by_all_that_a_cubin_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    text, options = loader._text, loader._options
    keys = {loader._key("warp_by_flow", "sm_80"), loader._key("warp_by_flow", "sm_86")}
    keys.add(loader._key("crop_align", "sm_80"))
    with monkeypatch.context() as patch:
        patch.setattr(loader, "_text", lambda source: text(source) + " ")
        keys.add(loader._key("warp_by_flow", "sm_80"))
    with monkeypatch.context() as patch:
        patch.setattr(loader, "_options", lambda *names: replace(options(*names), fma=True))
        keys.add(loader._key("warp_by_flow", "sm_80"))
    with monkeypatch.context() as patch:
        patch.setattr(loader, "nvrtc_version", lambda: (99, 0))
        keys.add(loader._key("warp_by_flow", "sm_80"))
    assert len(keys) == 6


@needs_nvrtc
def test_header_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (*loader.FOLDER.glob("*.cu"), *loader.FOLDER.glob("*.cuh")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(loader, "FOLDER", tmp_path)
    before = loader._key("warp_by_flow", "sm_80")
    with (tmp_path / "portable.cuh").open("a") as file:
        file.write("\n// changed\n")
    assert loader._key("warp_by_flow", "sm_80") != before


@needs_nvrtc
@pytest.mark.parametrize(
    "body, said",
    [("int i = nonsense;", 'error: identifier "nonsense"'), ("int unused;", "warning #177-D")],
)
def test_errors_and_warnings_come_with_the_log(body: str, said: str) -> None:
    text = f'#include "portable.cuh"\nKERNEL broken() {{ {body} }}'
    with pytest.raises(BackendError) as caught:
        loader.compile_source(text, "broken.cu", KNOWN[0])
    first, _, log = str(caught.value).partition("\n")
    assert first.startswith(f"broken.cu does not compile for {KNOWN[0]}: broken.cu(2): ")
    assert said in first and body in log


@needs_nvrtc
def test_unknown_architecture_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not for sm_70: update nvidia-cuda-nvrtc"):
        loader.compile_kernels(["sm_70"], tmp_path)


def test_missing_wheels_name_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    find = wheels.find_compiler.__wrapped__
    with monkeypatch.context() as patch:
        patch.setattr(wheels, "_importable", lambda name: False)
        with pytest.raises(BackendError, match=r"need cuda-core.*\[kernels\]"):
            find()
    monkeypatch.setattr(wheels, "_importable", lambda name: True)
    monkeypatch.setattr(wheels, "_nvidia_folders", lambda: [tmp_path])
    with pytest.raises(BackendError, match=r"nvidia-cuda-nvrtc.*\[kernels\]"):
        find()
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib" / "libnvrtc.so.13").touch()
    with pytest.raises(BackendError, match=r"nvidia-cuda-runtime.*\[kernels\]"):
        find()


class NoSuchLibrary:
    def __call__(self, name: str) -> None:
        raise OSError(name)


class Driver:
    def __init__(self, status: int) -> None:
        self.status = status

    def __call__(self, name: str) -> "Driver":
        return self

    def cuInit(self, flags: int) -> int:  # noqa: N802
        return self.status


def test_missing_or_failing_driver_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for driver, words in (
        (NoSuchLibrary(), "no NVIDIA driver"),
        (Driver(100), "the driver sees no GPU"),
        (Driver(803), "reboot after the update"),
        (Driver(999), "CUDA error 999"),
    ):
        monkeypatch.setattr(wheels.ctypes, "CDLL", driver)
        with pytest.raises(BackendError, match=words) as caught:
            loader.load_kernels()
        assert "keeprt doctor" in str(caught.value) and "\n" not in str(caught.value)
    monkeypatch.setattr(wheels.ctypes, "CDLL", Driver(0))
    wheels.check_driver()


def test_report_reads_registers_spills_and_shared_memory() -> None:
    one, two = parse_report(LOG)
    assert (one.kernel, one.architecture, one.registers, one.shared_bytes) == (
        "one",
        "sm_89",
        40,
        2112,
    )
    assert (one.stack_bytes, one.spill_store_bytes, one.spill_load_bytes) == (16, 8, 12)
    assert one.spills and not two.spills
    assert (two.kernel, two.registers, two.shared_bytes) == ("two", 10, 0)
    with pytest.raises(BackendError, match="no ptxas figures"):
        parse_report("Compiling entry function 'one' for 'sm_89'")


def test_cache_file_round_trip_leaves_no_other_file(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "name.cubin"
    assert cubin_cache.read(path) is None
    cubin_cache.write(path, b"\x7fELF\n\n\0body", 'a "log"\n')
    assert cubin_cache.read(path) == (b"\x7fELF\n\n\0body", 'a "log"\n')
    assert [entry.name for entry in path.parent.iterdir()] == ["name.cubin"]


def test_cache_detects_a_log_that_was_changed(tmp_path: Path) -> None:
    path = tmp_path / "name.cubin"
    cubin_cache.write(path, b"cubin", "clean")
    magic, header, body = path.read_bytes().split(b"\n", 2)
    fields = {**json.loads(header), "log": "forged"}
    path.write_bytes(b"\n".join([magic, json.dumps(fields).encode(), body]))
    assert cubin_cache.read(path) is None


def test_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    cubin_cache.write(blocked / "name.cubin", b"cubin", "")
    assert cubin_cache.read(blocked / "name.cubin") is None
