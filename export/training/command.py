"""What `keeprt train` asks for, turned into material and a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import torch

from keeprt.engine.errors import UsageError
from keeprt.export.model import KeepConfig
from keeprt.export.model.config import Flow
from keeprt.export.training.face_material import FaceMaterial
from keeprt.export.training.finding import collect_faces
from keeprt.export.training.material import Material
from keeprt.export.training.parallel import process_group, rank, wait_for_all
from keeprt.export.training.portrait_material import PortraitMaterial
from keeprt.export.training.recipe import RECIPES, Recipe
from keeprt.export.training.run import OnStep, Request, check_work, stages_of, train

CONFIGURATIONS: dict[str, Callable[..., KeepConfig]] = {
    "full": KeepConfig,
    "small": KeepConfig.small,
    "tiny": KeepConfig.tiny,
}


@dataclass(frozen=True)
class Asked:
    """The command's options."""

    out: Path
    data: tuple[Path, ...] = ()
    recipe: str = "paper"
    config: str | None = None
    flow: Flow = "gmflow"
    kalman: bool = True
    cfa: bool = True
    stage: str = "all"
    steps: int | None = None
    resume: bool = False
    perceptual: Path | None = None
    seed: int = 0
    device: str = "cpu"
    threads: int | None = None
    workers: int = 0
    checkpoint_every: int = 100
    command: str = ""


def run(
    asked: Asked,
    on_step: OnStep = lambda *_: None,
    notify: Callable[[str], None] = lambda text: None,
) -> bool:
    """Trains what was asked for; whether this process wrote the weights. Raises KeeprtError."""
    request = request_of(asked)
    if asked.threads:
        torch.set_num_threads(asked.threads)
        cv2.setNumThreads(asked.threads)
    with process_group(torch.device(request.device)):
        hear = notify if rank() == 0 else lambda text: None
        # the first process looks for faces, the others find them found
        if rank() == 0:
            check_work(request)
            material = material_of(asked, request, hear)
        wait_for_all()
        if rank() != 0:
            material = material_of(asked, request, hear)
        return train(request, material, asked.out, on_step, hear) and rank() == 0


def request_of(asked: Asked) -> Request:
    """Raises UsageError for options that do not fit together."""
    if asked.recipe not in RECIPES:
        raise UsageError(f"no recipe {asked.recipe!r}: give {' or '.join(RECIPES)}")
    name = asked.config or ("small" if asked.recipe == "demo" else "full")
    if name not in CONFIGURATIONS:
        raise UsageError(f"no configuration {name!r}: give {', '.join(CONFIGURATIONS)}")
    if asked.out.suffix != ".safetensors":
        raise UsageError(f"--out {asked.out}: weights are written as .safetensors")
    if asked.out.exists() and not asked.resume:
        raise UsageError(f"--out {asked.out} exists already: give another name, or delete it")
    if asked.recipe != "demo" and not asked.data:
        raise UsageError("--data is missing: give videos or folders, or --recipe demo")
    if asked.flow == "none" and asked.data:
        raise UsageError("--flow none is for the demo's material, whose movement Eq. 7 knows")
    request = Request(
        config=CONFIGURATIONS[name](flow=asked.flow, kalman=asked.kalman, cfa=asked.cfa),
        recipe=RECIPES[asked.recipe],
        work=asked.out.with_suffix(".training"),
        seed=asked.seed,
        steps=asked.steps,
        device=_device(asked.device),
        resume=asked.resume,
        checkpoint_every=asked.checkpoint_every,
        workers=asked.workers,
        perceptual=asked.perceptual,
        command=asked.command,
    )
    return replace(request, stages=stages_of(asked.stage, request.needed))


def material_of(asked: Asked, request: Request, notify: Callable[[str], None]) -> Material:
    """The portrait for the demo without data, else the faces of the data."""
    recipe: Recipe = request.recipe
    size = request.config.face_size
    if not asked.data:
        material = PortraitMaterial(recipe, size)
        material.picture  # noqa: B018  a missing scikit-image is to be known now
        return material
    notify("looking for faces")
    files = collect_faces(asked.data, size, request.work / "faces", notify)
    faces = FaceMaterial(files, recipe)
    # single faces are moved for the flow, so that it needs no clips
    wanted = [recipe.stages[name].frames for name in request.stages if name != "flow"]
    faces.check(max(wanted, default=1))
    notify(f"{len(files)} runs of one face, {faces.frame_count} frames")
    return faces


def _device(name: str) -> str:
    """The device of this process. Raises UsageError for a card that is not there."""
    if name not in ("cpu", "cuda"):
        raise UsageError(f"no device {name!r}: give cpu or cuda")
    if name == "cuda":
        if not torch.cuda.is_available():
            raise UsageError("--device cuda: torch finds no card")
        name = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(name)
    return name
