"""The loop of one stage: Adam, the rate's cycle, a running mean, checkpoints to go on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from keeprt.export.training.critic import Critic
from keeprt.export.training.material import Batch, Draws, Material
from keeprt.export.training.parallel import rank, world
from keeprt.export.training.stage import Figures, Stage

BETAS = (0.9, 0.99)
LARGEST_GRADIENT = 1.0
# a tenth of the steps, but not quite: OneCycleLR divides by RISE * steps - 1
RISE = 0.1001


@dataclass
class Training:
    """Everything of a stage that changes from step to step, and so lies in a checkpoint."""

    stage: Stage
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    mean: dict[str, Tensor]
    step: int = 0

    @classmethod
    def begin(cls, stage: Stage) -> Training:
        """A stage at its step 0."""
        recipe = stage.recipe
        stage.begin()
        if recipe.pictures.adversarial:
            device = next(stage.network.parameters()).device
            stage.critic = Critic(
                recipe.rate,
                device,
                over_time=recipe.frames > 1,
                channels=stage.network.config.base_channels,
            )
        parameters = list(trained(stage).values())
        optimiser = torch.optim.Adam(parameters, recipe.rate, betas=BETAS, fused=True)
        schedule: torch.optim.lr_scheduler.LRScheduler
        if recipe.constant:
            schedule = torch.optim.lr_scheduler.ConstantLR(optimiser, 1.0, 0)
        else:
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimiser, recipe.rate, total_steps=recipe.steps, pct_start=RISE
            )
        mean = {}
        if recipe.ema:
            mean = {name: p.detach().clone() for name, p in trained(stage).items()}
        return cls(stage, optimiser, schedule, mean)

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds; the generators of random numbers too."""
        own = {name: b for name, b in self.stage.named_buffers() if "." not in name}
        return {
            "step": self.step,
            "weights": {name: p.detach() for name, p in trained(self.stage).items()},
            "buffers": own,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "mean": self.mean,
            "critic": self.stage.critic.state() if self.stage.critic else None,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from a checkpoint, bit for bit."""
        self.step = state["step"]
        with torch.no_grad():
            for name, parameter in trained(self.stage).items():
                parameter.copy_(state["weights"][name])
            for name, average in self.mean.items():
                average.copy_(state["mean"][name])
            for name, buffer in state["buffers"].items():
                self.stage.get_buffer(name).copy_(buffer)
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        if self.stage.critic:
            self.stage.critic.restore(state["critic"])
        torch.set_rng_state(state["random"].cpu())
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all([t.cpu() for t in state["random_cuda"]])

    def take_step(self, loss: Tensor) -> None:
        """One step of the optimiser, of the rate and of the running mean."""
        parameters = trained(self.stage)
        self.optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters.values(), LARGEST_GRADIENT)
        self.optimiser.step()
        self.schedule.step()
        for name, average in self.mean.items():
            average.lerp_(parameters[name].detach(), 1 - self.stage.recipe.ema)
        if self.stage.critic and self.stage.pair:
            self.stage.critic.learn(*self.stage.pair)
        self.stage.after(self.step)
        self.step += 1

    def result(self) -> dict[str, Tensor]:
        """The trained weights by the network's names: the running mean where there is one."""
        weights = self.mean or {name: p.detach() for name, p in trained(self.stage).items()}
        return {name.removeprefix("network."): t.cpu() for name, t in weights.items()}


def trained(stage: Stage) -> dict[str, nn.Parameter]:
    """The parameters that a stage changes."""
    return {name: p for name, p in stage.named_parameters() if p.requires_grad}


def run_stage(
    training: Training,
    material: Material,
    seed: tuple[int, ...],
    device: torch.device,
    workers: int,
    report: Callable[[float, Figures], None],
) -> dict[str, Tensor]:
    """The steps that are left of a stage, each reported when it is done. The stage's weights."""
    stage, steps = training.stage, training.stage.recipe.steps
    module: nn.Module = stage
    if world() > 1:
        module = DistributedDataParallel(stage, broadcast_buffers=False)
    draws = Draws(material, stage.draw, (*seed, rank()))
    for batch in batches(draws, range(training.step, steps), workers, device):
        loss, figures = module(batch, training.step)
        training.take_step(loss)
        report(loss.item(), figures)
    return training.result()


def batches(draws: Draws, steps: range, workers: int, device: torch.device) -> Iterator[Batch]:
    """The batches of these steps in their order, made by `workers` processes beside this one."""
    loader = DataLoader(draws, batch_size=None, sampler=steps, num_workers=workers)
    for batch in loader:
        flows = batch.flows if batch.flows is None else batch.flows.to(device)
        yield Batch(batch.sharp.to(device), batch.degraded.to(device), flows)
