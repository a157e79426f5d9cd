"""TensorRT's runtime half: a clean refusal without a card, and with one the same results."""

from __future__ import annotations

import numpy as np
import pytest

from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.devices.cuda import driver as nvidia_driver
from keeprt.engine.errors import BackendError, UsageError
from keeprt.engine.libraries.onnxruntime.sessions import OnnxRuntimeBackend
from keeprt.engine.libraries.tensorrt.build_all import BuildRequest, build_plans
from keeprt.engine.libraries.tensorrt.plan_store import Profile
from keeprt.engine.libraries.tensorrt.run import TensorRtBackend


def has_gpu() -> bool:
    try:
        return bool(nvidia_driver.find_driver().cards)
    except BackendError:
        return False


needs_gpu = pytest.mark.skipif(not has_gpu(), reason="needs an NVIDIA GPU with its driver")
without_gpu = pytest.mark.skipif(has_gpu(), reason="this machine has an NVIDIA GPU")


@without_gpu
@pytest.mark.parametrize("flavour", ["rtx", "tensorrt"])
def test_without_a_driver_one_line_says_so(tiny_bundle, flavour):
    with pytest.raises(BackendError) as error:
        TensorRtBackend(load_bundle(tiny_bundle), flavour)
    assert str(error.value) == (
        "no NVIDIA driver on this machine (libcuda.so.1 is not there); run `keeprt doctor`"
    )


def test_unknown_flavour_is_refused(tiny_bundle):
    with pytest.raises(UsageError, match="unknown flavour"):
        TensorRtBackend(load_bundle(tiny_bundle), "cuda")


def test_a_driver_that_does_not_work_is_named(tmp_path):
    """A library under the driver's name, with a cuInit that fails as on a machine with no card."""
    import shutil
    import subprocess

    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    source = tmp_path / "cuda.c"
    source.write_text(
        "int cuInit(unsigned f) { return 100; }\n"
        'int cuGetErrorString(int c, const char **s) { *s = "no device is detected"; return 0; }\n'
    )
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    with pytest.raises(BackendError, match=r"cuInit says no device is detected \(100\)"):
        nvidia_driver.find_driver(str(library))


def test_cards_are_told_by_the_driver(tmp_path):
    """The same with one card: name, capability and memory come out of the driver's calls."""
    import shutil
    import subprocess

    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    source = tmp_path / "cuda.c"
    source.write_text(
        """
#include <string.h>
int cuInit(unsigned f) { return 0; }
int cuDriverGetVersion(int *v) { *v = 13020; return 0; }
int cuDeviceGetCount(int *n) { *n = 1; return 0; }
int cuDeviceGet(int *d, int i) { *d = i; return 0; }
int cuDeviceGetName(char *s, int n, int d) { strcpy(s, "Test Card"); return 0; }
int cuDeviceTotalMem_v2(unsigned long *m, int d) { *m = 24ul << 30; return 0; }
int cuDeviceGetAttribute(int *v, int a, int d) { *v = a == 75 ? 8 : a == 76 ? 9 : -1; return 0; }
"""
    )
    library = tmp_path / "libcuda.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    driver = nvidia_driver.find_driver(str(library))
    assert driver.cuda == (13, 2)
    assert driver.cards == (nvidia_driver.Card(0, "Test Card", "sm89", 24 << 30),)


@pytest.mark.parametrize(
    ("provider", "message"),
    [
        ("cuda", r"has no CUDAExecutionProvider; .*pip install .*\[gpu\]"),
        ("tensorrt", "has no TensorrtExecutionProvider"),
        ("rtx", "NvTensorRTRTXExecutionProvider"),
    ],
)
@without_gpu
def test_a_missing_provider_says_what_to_install(tiny_bundle, provider, message):
    with pytest.raises(BackendError, match=message):
        OnnxRuntimeBackend(load_bundle(tiny_bundle), provider)


def test_unknown_provider_is_refused(tiny_bundle):
    with pytest.raises(UsageError, match="unknown provider 'abacus'; choose cpu, cuda, "):
        OnnxRuntimeBackend(load_bundle(tiny_bundle), "abacus")


@needs_gpu
@pytest.mark.gpu
def test_a_plan_on_the_card_says_what_onnx_runtime_says(tiny_bundle, tmp_path):
    pytest.importorskip("tensorrt_rtx")
    bundle, profile = load_bundle(tiny_bundle), Profile(faces=(1, 1, 2))
    build_plans(bundle, BuildRequest(profile=profile), tmp_path)
    ours = TensorRtBackend(bundle, "rtx", profile, folder=tmp_path)
    theirs = OnnxRuntimeBackend(bundle)
    face = np.random.default_rng(0).uniform(-1, 1, (2, 3, 128, 128)).astype(np.float32)
    results = []
    for backend in (ours, theirs):
        latent = np.empty(bundle.subgraphs["hq_encoder"].outputs[0].sized(faces=2), np.float32)
        backend.run("hq_encoder", {"warped": face}, {"predicted": latent})
        results.append(latent)
    error = np.linalg.norm(results[0] - results[1]) / np.linalg.norm(results[1])
    assert error < 1e-4
