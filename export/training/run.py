"""From material to a weights file: the stages in their order, each from what the others left."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from keeprt.engine.errors import CheckpointError, UsageError
from keeprt.export.model import Keep, KeepConfig
from keeprt.export.training.files import read_state, write_state
from keeprt.export.training.loop import Training, run_stage
from keeprt.export.training.losses import Perceptual, edges_and_structure
from keeprt.export.training.material import Material
from keeprt.export.training.parallel import rank, wait_for_all
from keeprt.export.training.perceptual import load_perceptual
from keeprt.export.training.progress import Journal
from keeprt.export.training.recipe import STAGES, Recipe, StageRecipe
from keeprt.export.training.stage import Figures, Stage
from keeprt.export.training.stages.autoencoder import AutoencoderStage
from keeprt.export.training.stages.flow import FlowStage
from keeprt.export.training.stages.fusion import FusionStage
from keeprt.export.training.stages.lookup import FilterStage, LookupStage
from keeprt.export.training.stages.pyramid import PyramidFlowStage
from keeprt.export.weights.file import CONFIGURATION, RECIPE

STAGE_MODULES: dict[str, type[Stage]] = {
    "autoencoder": AutoencoderStage,
    "flow": FlowStage,
    "lookup": LookupStage,
    "filter": FilterStage,
    "fusion": FusionStage,
}
# the stages whose weights a stage begins with; the later one wins (see `Request.begins_with`)
BEGINS_WITH: dict[str, tuple[str, ...]] = {
    "autoencoder": (),
    "flow": (),
    "lookup": ("autoencoder",),
    "filter": ("autoencoder", "flow", "lookup"),
    "fusion": ("autoencoder", "flow", "lookup"),
}
TOOLS = ("keeprt", "torch", "numpy", "opencv-python-headless", "av")
OnStep = Callable[[str, int, int, float, Figures], None]


@dataclass(frozen=True)
class Request:
    """What is to be trained, and where it lies while it is.

    `steps` are those of all chosen stages, in the recipe's proportion; None for the recipe's own.
    """

    config: KeepConfig
    recipe: Recipe
    work: Path
    stages: tuple[str, ...] = tuple(STAGES)
    seed: int = 0
    steps: int | None = None
    device: str = "cpu"
    resume: bool = False
    checkpoint_every: int = 100
    workers: int = 0
    perceptual: Path | None = None
    command: str = ""

    @property
    def needed(self) -> tuple[str, ...]:
        """The stages that the configuration needs; Eq. 7 needs a flow without a filter too."""
        return tuple(name for name in STAGES if name != "flow" or self.config.flow != "none")

    @property
    def trained_config(self) -> KeepConfig:
        """The configuration while it is trained: the HQ encoder says which codes are right."""
        return replace(self.config, kalman=True)

    def stage_module(self, stage: str) -> type[Stage]:
        """What trains a stage."""
        pyramid = stage == "flow" and self.config.flow == "pyramid"
        return PyramidFlowStage if pyramid else STAGE_MODULES[stage]

    def checkpoint(self, stage: str) -> Path:
        """File that a stage goes on from."""
        return self.work / f"{stage}.checkpoint.pt"

    def weights(self, stage: str) -> Path:
        """File of what a finished stage changed."""
        return self.work / f"{stage}.pt"

    def stage_recipe(self, stage: str) -> StageRecipe:
        """The stage as it will run."""
        own = self.recipe.stages[stage]
        if not self.config.kalman:
            own = replace(own, recurrent=False)
        if self.steps is None:
            return own
        total = sum(self.recipe.stages[name].steps for name in self.stages)
        return replace(own, steps=max(1, round(self.steps * own.steps / total)))

    def begins_with(self, stage: str) -> tuple[str, ...]:
        """The stages whose weights a stage begins with."""
        filtered = stage == "fusion" and self.recipe.stages[stage].recurrent
        names = (*BEGINS_WITH[stage], "filter") if filtered else BEGINS_WITH[stage]
        return tuple(name for name in names if name in self.needed)

    def settings(self, stage: str) -> str:
        """All that a stage's result depends on, which a checkpoint must share to go on from."""
        values = {
            "configuration": self.config.as_dict(),
            "recipe": asdict(self.stage_recipe(stage)),
            "ranges": asdict(self.recipe.ranges),
            "seed": self.seed,
        }
        return json.dumps(values, sort_keys=True)


def stages_of(choice: str, needed: Iterable[str] = tuple(STAGES)) -> tuple[str, ...]:
    """Of the stages needed those that `--stage` names: 1, flow, 2, 3 or all. Raises UsageError."""
    if choice not in (*STAGES.values(), "all"):
        raise UsageError(f"no stage {choice!r}: give 1, flow, 2, 3 or all")
    chosen = tuple(name for name in needed if choice in ("all", STAGES[name]))
    if not chosen:
        raise UsageError(f"--stage {choice}: this network has no part of it")
    return chosen


def train(
    request: Request,
    material: Material,
    out: Path,
    on_step: OnStep = lambda *_: None,
    notify: Callable[[str], None] = lambda text: None,
) -> bool:
    """Trains the chosen stages and writes `out` if every stage has been trained; whether it has.

    A weights file holds the configuration and the recipe in its metadata. Raises UsageError for a
    work folder that another run has begun, CheckpointError for one that cannot be gone on from.
    """
    for name in request.stages:
        if request.weights(name).is_file():
            notify(f"{name}: done already")
        else:
            train_stage(request, material, name, on_step)
        wait_for_all()
    missing = [name for name in request.needed if not request.weights(name).is_file()]
    if rank() == 0 and not missing:
        write_weights(request, out)
    if missing:
        notify(f"{out} is not written yet: {', '.join(missing)} not trained")
    return not missing


def check_work(request: Request) -> None:
    """Makes the work folder. Raises UsageError where a stage has begun and is not to be resumed."""
    try:
        request.work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {request.work}: {error.strerror}") from None
    if request.resume:
        return
    for name in request.stages:
        for file in (request.checkpoint(name), request.weights(name)):
            if file.exists():
                raise UsageError(f"{file} is there already: --resume goes on from it; or delete it")
    for name in sorted({n for stage in request.stages for n in request.begins_with(stage)}):
        if name not in request.stages and not request.weights(name).is_file():
            raise UsageError(
                f"{request.work} has no {name}.pt, which --stage {STAGES[request.stages[0]]} "
                f"begins with: train --stage {STAGES[name]} first"
            )


def train_stage(request: Request, material: Material, name: str, on_step: OnStep) -> None:
    """Trains one stage to its end and leaves its weights in the work folder."""
    device = torch.device(request.device)
    torch.manual_seed(request.seed)
    network = Keep(request.trained_config)
    load_stages(network, request, request.begins_with(name))
    recipe = request.stage_recipe(name)
    index = list(STAGES).index(name)
    torch.manual_seed(request.seed + index)
    perceptual: Perceptual = edges_and_structure
    if request.perceptual:
        perceptual = load_perceptual(request.perceptual, device)
    training = Training.begin(request.stage_module(name)(network, recipe, perceptual).to(device))
    if request.checkpoint(name).is_file():
        training.restore(_read_checked(request, name))
    journal = Journal(request.work, name, training.step) if rank() == 0 else None

    def report(loss: float, figures: Figures) -> None:
        step = training.step
        if journal:
            journal.add(step, loss, figures)
            on_step(name, step, recipe.steps, loss, figures)
        if rank() == 0 and step % request.checkpoint_every == 0 and step < recipe.steps:
            state = {"settings": request.settings(name), **training.state()}
            write_state(request.checkpoint(name), state)
        if journal and (step % request.checkpoint_every == 0 or step == recipe.steps):
            journal.show(training.stage.sample)

    seed = (request.seed, index)
    weights = run_stage(training, material, seed, device, request.workers, report)
    if rank() == 0:
        write_state(request.weights(name), weights)
        request.checkpoint(name).unlink(missing_ok=True)


def _read_checked(request: Request, name: str) -> dict[str, Any]:
    state = read_state(request.checkpoint(name))
    if state.get("settings") != request.settings(name):
        raise CheckpointError(
            f"{request.checkpoint(name)} is of a run with another recipe, configuration, number of "
            "steps or seed: give the same ones, or another --out"
        )
    return state


def load_stages(network: Keep, request: Request, names: Iterable[str]) -> None:
    """Puts what the named stages left into a network."""
    for name in names:
        network.load_state_dict(read_state(request.weights(name)), strict=False)


def write_weights(request: Request, out: Path) -> None:
    """All stages' results as one file, with configuration and recipe in its metadata."""
    network = Keep(request.config)
    load_stages(network, request, request.needed)
    tensors = {
        name: (tensor.half() if request.recipe.half else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    metadata = {
        CONFIGURATION: json.dumps(request.config.as_dict()),
        RECIPE: json.dumps(recipe_record(request), indent=1),
    }
    part = out.with_name(out.name + ".part")
    save_file(tensors, str(part), metadata)
    part.replace(out)


def recipe_record(request: Request) -> dict[str, Any]:
    """What the weights were made by: command, seed, stages, versions."""
    return {
        "command": request.command,
        "seed": request.seed,
        "stages": {name: asdict(request.stage_recipe(name)) for name in request.needed},
        "degradation": asdict(request.recipe.ranges),
        "versions": {tool: version(tool) for tool in TOOLS},
    }
