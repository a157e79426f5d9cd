"""An archive on Ray Core: one task a file. Ray is imported only where an archive runs on it.

Tasks and not actors or Ray Data: an actor pool lost a file when its worker was killed, and Ray Data
tried a file that kills its worker for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from keeprt.engine.archive.jobs import Archive, Job
from keeprt.engine.archive.needs import Needs, bound_threads
from keeprt.engine.archive.one import Row, Rules, give_up, restore_one
from keeprt.engine.archive.recipe import Recipe
from keeprt.engine.errors import BackendError
from keeprt.kernels.installing import install

log = logging.getLogger(__name__)

SECONDS = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0]


@dataclass(frozen=True)
class OnRay:
    """address: of a cluster; None starts one on this machine for the run. gpus_per_file: share of a
    card that a task asks for. retries: how often a file whose worker died is given to another.
    in_flight: tasks that are submitted at once, None for four per processor of the cluster."""

    needs: Needs
    address: str | None = None
    gpus_per_file: float = 0.0
    retries: int = 2
    in_flight: int | None = None

    def __call__(self, archive: Archive, recipe: Recipe, rules: Rules) -> Iterator[Row]:
        """A row for each job as soon as it is done."""
        ray = import_ray()
        mine = not ray.is_initialized()
        if mine:
            ray.init(self.address, include_dashboard=False, log_to_driver=False, logging_level=40)
        try:
            self._refuse_too_much(ray)
            yield from self._rows(ray, archive, recipe, rules)
        finally:
            if mine:
                ray.shutdown()

    def _refuse_too_much(self, ray: Any) -> None:
        """Ray waits without a word for a machine that can run the task. Raises BackendError."""
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        asked: dict[str, float] = {"CPU": self.needs.threads, "memory": self.needs.memory_bytes}
        asked |= {"GPU": self.gpus_per_file} if self.gpus_per_file else {}
        if any(all(has.get(name, 0) >= much for name, much in asked.items()) for has in nodes):
            return
        said = (
            f"no machine has what a file asks for: {self.needs.threads} processors, "
            f"{self.needs.memory_bytes / 1e9:.1f} GB"
            + (f", {self.gpus_per_file:g} of a card" if self.gpus_per_file else "")
        )
        if self.address is None:
            raise BackendError(f"{said}; give fewer --threads, or a cluster by --ray-address")
        log.warning("%s; waiting for one to join", said)

    def _rows(self, ray: Any, archive: Archive, recipe: Recipe, rules: Rules) -> Iterator[Row]:
        task, waiting = self._task(ray), iter(archive.jobs)
        metrics = _Metrics()
        limit = self.in_flight or max(4, 4 * int(ray.cluster_resources().get("CPU", 1)))
        running: dict[Any, Job] = {}
        stores = (archive.sources.address, archive.outputs.address)
        while True:
            while len(running) < limit and (job := next(waiting, None)):
                running[task.remote(*stores, job, recipe, rules)] = job
            if not running:
                return
            (ready, *_), _ = ray.wait(list(running), num_returns=1)
            row = self._row(ray, ready, archive, running.pop(ready))
            metrics.add(row)
            yield row

    def _row(self, ray: Any, ready: Any, archive: Archive, job: Job) -> Row:
        try:
            return Row(**ray.get(ready))
        except ray.exceptions.RayError as error:
            said = f"its worker died {self.retries + 1} times ({type(error).__name__})"
            return give_up(archive.outputs.address, job, said)

    def _task(self, ray: Any) -> Any:
        # max_calls=0: a worker that has asked for a GPU would else be replaced after each file.
        options: dict[str, Any] = {
            "num_cpus": self.needs.threads,
            "memory": self.needs.memory_bytes,
            "max_retries": self.retries,
            "max_calls": 0,
        }
        if self.gpus_per_file:
            options["num_gpus"] = self.gpus_per_file
        return ray.remote(**options)(_restore)


def import_ray() -> Any:
    """The library. Raises BackendError naming the extra to install."""
    try:
        import ray
    except ImportError:
        raise BackendError(f"Ray is not installed: {install('ray')}") from None
    return ray


def _restore(sources: str, outputs: str, job: Job, recipe: Recipe, rules: Rules) -> dict[str, Any]:
    """A task: plain values in and out, so that driver and worker need not agree on classes."""
    if recipe.threads:
        bound_threads(recipe.threads)
    return vars(restore_one(sources, outputs, job, recipe, rules))


class _Metrics:
    """What Prometheus sees of an archive, by Ray's own exporter."""

    def __init__(self) -> None:
        from ray.util.metrics import Counter, Histogram

        self._files = Counter("keeprt_archive_files", "Files by status.", ("status",))
        self._frames = Counter("keeprt_archive_frames", "Frames restored.")
        self._seconds = Histogram("keeprt_archive_file_seconds", "Seconds a file.", SECONDS)

    def add(self, row: Row) -> None:
        self._files.inc(1, {"status": row.status})
        if row.status == "restored" and row.frames:
            self._frames.inc(row.frames)
            self._seconds.observe(row.seconds)
