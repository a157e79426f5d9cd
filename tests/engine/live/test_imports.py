"""The wire process loads no inference library, no OpenCV, no torch, and no PyAV for these parts."""

import subprocess
import sys
from pathlib import Path

LIVE = Path(__file__).parents[3] / "engine" / "live"
HEAVY = ("torch", "onnxruntime", "cv2", "tensorrt", "cuda", "av", "numpy")


def test_the_pure_parts_and_the_transport_stream_load_nothing_heavy() -> None:
    files = [*LIVE.glob("*.py"), *(LIVE / "ts").glob("*.py")]
    names = [
        ".".join(("keeprt.engine.live", *f.relative_to(LIVE).with_suffix("").parts)) for f in files
    ]
    names = [name.removesuffix(".__init__") for name in names]
    assert len(names) >= 17
    code = f"import sys, {', '.join(names)}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_wire_loads_no_inference_library_no_opencv_and_no_torch() -> None:
    files = [*LIVE.rglob("wire/*.py"), *LIVE.rglob("transports/*.py")]
    names = [
        ".".join(("keeprt.engine.live", *f.relative_to(LIVE).with_suffix("").parts))
        for f in files
        if f.name != "__main__.py"
    ]
    assert len(names) >= 15
    heavy = ("torch", "onnxruntime", "cv2", "tensorrt", "cuda", "scipy", "typer")
    names = [name.removesuffix(".__init__") for name in names]
    code = f"import sys, {', '.join(names)}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
