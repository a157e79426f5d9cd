"""What can be seen of Windows from elsewhere: imports, names of libraries, locks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keeprt.engine.bundle.file_lock import try_lock

# Other people's packages look at the platform when they are imported: they come first, as they are.
PLAY = """
import sys, types
from importlib import import_module
names = {names}
for name in names: import_module(name)
for name in [n for n in sys.modules if n.split(".")[0] == "keeprt"]: del sys.modules[name]
sys.modules["fcntl"] = None
sys.modules["msvcrt"] = types.SimpleNamespace(LK_NBLCK=2, locking=lambda *a: LOCKED(*a))
LOCKED = lambda descriptor, mode, size: None
sys.platform = "win32"
for name in names: import_module(name)
"""
NAMES = [
    "keeprt.engine.cli.app",
    "keeprt.engine.doctor",
    "keeprt.engine.libraries.tensorrt.build_all",
    "keeprt.engine.devices.cuda.guest",
]


def play(code: str, names: list[str] = NAMES) -> str:
    script = PLAY.replace("{names}", repr(names)) + code
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_command_starts_without_fcntl() -> None:
    code = """
from keeprt.engine.devices.cuda import driver, guest
from keeprt.engine.doctor import VIDEO_LIBRARIES
print(driver.LIBRARY, guest.LIBRARY, *VIDEO_LIBRARIES.values())
sys.argv = ["keeprt", "--version"]
import_module("keeprt.engine.cli.app").app()
"""
    libraries, version = play(code).splitlines()
    assert libraries == "nvcuda.dll nvcuda.dll nvEncodeAPI64.dll nvcuvid.dll"
    assert version.startswith("keeprt ")


def test_a_lock_of_windows_is_one_byte_behind_every_file(tmp_path: Path) -> None:
    code = f"""
import os
from keeprt.engine.bundle.file_lock import try_lock
held = set()
def LOCKED(descriptor, mode, size):
    place = os.lseek(descriptor, 0, os.SEEK_CUR), size, mode
    if place in held: raise OSError("in use")
    held.add(place)
with open({str(tmp_path / "lock")!r}, "ab") as stream:
    stream.write(b"12345"); stream.flush()
    print(try_lock(stream.fileno()), try_lock(stream.fileno()), stream.tell(), sorted(held))
"""
    assert play(code).strip() == "True False 5 [(2147483646, 1, 2)]"


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX locks")
def test_a_lock_is_held_until_its_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with path.open("a") as first, path.open("a") as second:
        assert try_lock(first.fileno()) and not try_lock(second.fileno())
        first.close()
        assert try_lock(second.fileno())
