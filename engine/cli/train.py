"""`keeprt train`: weights of one's own, from videos of faces or by the demo's recipe."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from keeprt.engine.cli.options import making as m
from keeprt.engine.cli.options import training as t
from keeprt.engine.cli.terminal.console import announce, need, note
from keeprt.engine.cli.terminal.progress import steps as step_progress


def train(
    data: t.Data = None,
    out: t.Out = Path("weights.safetensors"),
    recipe: t.Recipe = "paper",
    config: t.Config = None,
    flow: t.Flow = "gmflow",
    without_kalman: m.WithoutKalman = False,
    without_cfa: m.WithoutCfa = False,
    stage: t.Stage = "all",
    steps: t.Steps = None,
    resume: t.Resume = False,
    perceptual: t.Perceptual = None,
    seed: t.Seed = 0,
    device: t.Device = "cpu",
    threads: t.Threads = None,
    workers: t.Workers = 0,
    checkpoint_every: t.CheckpointEvery = 100,
) -> None:
    """Train the network in the paper's stages.

    Example: keeprt train --recipe demo --out demo.safetensors
    """
    command = need("keeprt.export.training.command", "all")
    asked = command.Asked(
        data=tuple(data or ()),
        out=out,
        recipe=recipe,
        config=config,
        flow=flow,
        kalman=not without_kalman,
        cfa=not without_cfa,
        stage=stage,
        steps=steps,
        resume=resume,
        perceptual=perceptual,
        seed=seed,
        device=device,
        threads=threads,
        workers=workers,
        checkpoint_every=checkpoint_every,
        command=shlex.join(["keeprt", *sys.argv[1:]]),
    )
    with step_progress("getting ready") as show:

        def on_step(
            name: str, step: int, total: int, loss: float, figures: dict[str, float]
        ) -> None:
            words = " ".join(f"{figure} {value:.3f}" for figure, value in figures.items())
            show(f"{name} {step}/{total}: loss {loss:.3f} {words}", step, total)

        finished = command.run(asked, on_step, note)
    if finished:
        announce(f"wrote {out}")
