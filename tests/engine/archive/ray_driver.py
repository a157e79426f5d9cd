"""Run by the tests of Ray inside a network of its own: restores an archive, prints its rows.

Arguments: IN, OUT, a folder whose files steer the workers, and how often the archive is restored.
`poison` names a source that kills its worker each time, `once` one that does so the first time,
`slow` one that takes five minutes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import ray

from keeprt.engine.archive import one
from keeprt.engine.archive.jobs import find_archive
from keeprt.engine.archive.needs import Needs
from keeprt.engine.archive.on_ray import OnRay
from keeprt.engine.archive.recipe import Recipe
from keeprt.engine.archive.run import restore_archive
from keeprt.engine.media import VideoSource

SOURCES, OUTPUTS, STEERING, RUNS = sys.argv[1:5]


def steer() -> None:
    """Runs in every worker before its first task."""
    restore_video, folder = one.restore_video, Path(STEERING)

    def steered(source: VideoSource, *rest: Any) -> Any:
        name = Path(source.info.path).name
        told = {file.name for file in folder.iterdir() if file.read_text() == name}
        if "once" in told:
            (folder / "once").unlink()
        if told & {"poison", "once"}:
            os.kill(os.getpid(), signal.SIGKILL)
        if "slow" in told:
            time.sleep(300)
        return restore_video(source, *rest)

    one.restore_video = steered


def main() -> None:
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        logging_level=40,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        runtime_env={"worker_process_setup_hook": steer},
    )
    recipe = Recipe(bundle=None, options={"preset": "ultrafast"}, threads=1)
    engine = OnRay(Needs(threads=1, memory_bytes=400_000_000), retries=1)

    def said(row: one.Row, _: object) -> None:
        print(json.dumps(vars(row)), flush=True)

    for _ in range(int(RUNS)):
        restore_archive(find_archive(SOURCES, OUTPUTS), recipe, engine=engine, on_row=said)


if __name__ == "__main__":
    main()
