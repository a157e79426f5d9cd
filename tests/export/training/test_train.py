"""All stages on the tiny network: losses fall, a resumed run is the same run, errors are said."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from keeprt.engine.errors import CheckpointError, UsageError
from keeprt.export.model import Keep, KeepConfig
from keeprt.export.pipeline import load_network
from keeprt.export.training.command import Asked, request_of, run
from keeprt.export.training.files import read_state
from keeprt.export.training.loop import Training
from keeprt.export.training.losses import PictureWeights
from keeprt.export.training.portrait_material import PortraitMaterial
from keeprt.export.training.recipe import DEMO, PAPER, STAGES, Recipe
from keeprt.export.training.run import Request, check_work, stages_of, train
from keeprt.export.training.stages.fusion import FusionStage
from keeprt.export.training.stages.pyramid import PyramidFlowStage

TINY = KeepConfig.tiny()
# for what does not learn anything
MINI = KeepConfig.tiny(face_size=64, channel_multipliers=(1, 1, 2))
CLI = "from keeprt.engine.cli import main; main()"
STEPS = {"autoencoder": 48, "flow": 40, "lookup": 32, "filter": 8, "fusion": 16}
# the mean loss of a stage's last quarter is below so much of its first two steps'
FALLS_TO = {"autoencoder": 0.55, "flow": 0.35, "lookup": 0.8, "filter": 1.0, "fusion": 0.95}


def recipe_of(steps: dict[str, int], **changes: object) -> Recipe:
    stages = {
        name: replace(DEMO.stages[name], steps=count, **changes) for name, count in steps.items()
    }
    return replace(DEMO, stages=stages, half=False)


def trained(
    work: Path, recipe: Recipe, config: KeepConfig = MINI, **changes: object
) -> dict[str, torch.Tensor]:
    request = Request(config, recipe, work / "training", checkpoint_every=2, **changes)
    request = replace(request, stages=request.needed)
    check_work(request)
    assert train(request, PortraitMaterial(recipe, config.face_size), work / "weights.safetensors")
    return load_file(work / "weights.safetensors")


def losses_of(work: Path, stage: str) -> list[float]:
    with (work / "training" / f"{stage}.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def short_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("short")
    trained(work, recipe_of(STEPS), TINY)
    return work


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_the_loss_of_every_stage_falls(short_run: Path, stage: str) -> None:
    losses = losses_of(short_run, stage)
    assert len(losses) == STEPS[stage]
    assert np.mean(losses[-STEPS[stage] // 4 :]) < FALLS_TO[stage] * np.mean(losses[:2])


@pytest.mark.slow
def test_a_run_leaves_pictures_and_weights_that_name_their_configuration(short_run: Path) -> None:
    network, _ = load_network(short_run / "weights.safetensors")
    assert network.config == TINY
    files = {path.name for path in (short_run / "training").iterdir()}
    assert {"autoencoder-samples.png", "fusion-samples.png"} <= files
    assert {f"{name}-losses.png" for name in STAGES} <= files


class StopError(Exception):
    pass


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_bit_for_bit(tmp_path: Path) -> None:
    pictures = PictureWeights(l1=1.0, perceptual=1.0, adversarial=0.1, temporal=0.1)
    recipe = recipe_of(dict.fromkeys(STAGES, 4), ema=0.9, pictures=pictures)
    whole = trained(tmp_path / "whole", recipe)

    work = tmp_path / "stopped"
    request = Request(MINI, recipe, work / "training", checkpoint_every=2, resume=True)
    check_work(request)
    material = PortraitMaterial(recipe, MINI.face_size)

    def stop_at_3(stage: str, step: int, *rest: object) -> None:
        if step == 3 and not request.checkpoint(stage).with_suffix(".seen").exists():
            request.checkpoint(stage).with_suffix(".seen").touch()
            torch.rand(1)
            raise StopError

    for _ in STAGES:
        with pytest.raises(StopError):
            train(request, material, work / "weights.safetensors", stop_at_3)
    assert train(request, material, work / "weights.safetensors", stop_at_3)
    resumed = load_file(work / "weights.safetensors")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    for stage in STAGES:
        assert losses_of(tmp_path / "whole", stage) == losses_of(work, stage)


@pytest.mark.slow
def test_another_seed_is_another_run(tmp_path: Path) -> None:
    recipe = recipe_of(dict.fromkeys(STAGES, 1) | {"autoencoder": 10})
    first, second = (trained(tmp_path / str(seed), recipe, seed=seed) for seed in (0, 1))
    assert not any(torch.equal(first[n], second[n]) for n in first if n.endswith("conv1.weight"))


def asked(tmp_path: Path, **changes: object) -> Asked:
    return replace(
        Asked(out=tmp_path / "w.safetensors", recipe="demo", config="tiny", stage="1", steps=2),
        **changes,
    )


def test_what_does_not_fit_together_is_said(tmp_path: Path) -> None:
    for changes, words in (
        ({"recipe": "other"}, "no recipe 'other'"),
        ({"config": "huge"}, "no configuration 'huge'"),
        ({"out": tmp_path / "w.pth"}, "safetensors"),
        ({"recipe": "paper"}, "--data is missing"),
        ({"stage": "4"}, "no stage '4'"),
        ({"device": "tpu"}, "no device 'tpu'"),
    ):
        with pytest.raises(UsageError, match=words):
            request_of(asked(tmp_path, **changes))


def test_a_stage_needs_those_before_it_and_a_finished_one_is_not_overwritten(
    tmp_path: Path,
) -> None:
    with pytest.raises(UsageError, match=r"autoencoder\.pt.*--stage 1 first"):
        run(asked(tmp_path, stage="2"))
    said: list[str] = []
    assert not run(asked(tmp_path), notify=said.append)
    assert "not written yet: flow, lookup, filter, fusion not trained" in said[-1]
    with pytest.raises(UsageError, match="--resume goes on from it"):
        run(asked(tmp_path))


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    def stop(*_: object) -> None:
        if request.checkpoint("autoencoder").exists():
            raise StopError

    request = request_of(asked(tmp_path, steps=4))
    with pytest.raises(StopError):
        run(asked(tmp_path, steps=4, checkpoint_every=1), stop)
    with pytest.raises(CheckpointError, match="another recipe, configuration, number of"):
        run(asked(tmp_path, steps=5, resume=True))
    request.checkpoint("autoencoder").write_bytes(b"PK nonsense")
    with pytest.raises(CheckpointError, match="cannot be read"):
        run(asked(tmp_path, steps=4, resume=True))


def test_steps_are_shared_in_the_recipes_proportion(tmp_path: Path) -> None:
    one = request_of(asked(tmp_path, stage="2", steps=None))
    own = [one.stage_recipe(name).steps for name in ("lookup", "filter")]
    some = replace(one, steps=sum(own) // 10)
    assert [some.stage_recipe(name).steps for name in ("lookup", "filter")] == [
        round(steps / 10) for steps in own
    ]
    assert stages_of("all") == tuple(STAGES)


def test_stage_3_waits_for_the_filter_only_where_it_sees_corrected_codes(tmp_path: Path) -> None:
    request = request_of(asked(tmp_path))
    assert "filter" not in request.begins_with("fusion")
    assert "filter" in replace(request, recipe=PAPER).begins_with("fusion")


def test_a_recurrent_stage_3_restores_through_the_filter(tmp_path: Path) -> None:
    recipe = recipe_of(dict.fromkeys(STAGES, 1), recurrent=True)
    network = Keep(MINI)
    stage = FusionStage(network, recipe.stages["fusion"])
    degraded = PortraitMaterial(recipe, 64).clips(np.random.default_rng(0), 1, 3).degraded
    with torch.no_grad():
        expected = [result.face for result in network.run(degraded, window=8)]
        assert torch.allclose(stage.restore(degraded), torch.stack(expected, 1), atol=1e-5)


@pytest.mark.slow
def test_a_stage_changes_its_own_weights_only(tmp_path: Path) -> None:
    recipe = recipe_of(dict.fromkeys(STAGES, 1))
    trained(tmp_path, recipe)
    names = {name: set(read_state(tmp_path / "training" / f"{name}.pt")) for name in STAGES}
    rooms = {stage: {name.split(".")[0] for name in found} for stage, found in names.items()}
    lookup = {"position_emb", "feat_emb", "ft_layers", "idx_pred_layer"}
    assert rooms == {
        "autoencoder": {"hq_encoder", "quantize", "generator"},
        "flow": {"flownet"},
        "lookup": {"encoder", *lookup},
        "filter": {"kalman_filter", *lookup},
        "fusion": {"fuse_convs_dict", "cross_fuse"},
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"kalman": False}, {"cfa": False}, {"flow": "none"}, {"flow": "pyramid"}]
)
def test_ablations_are_trained_in_the_same_stages(
    tmp_path: Path, changes: dict[str, object]
) -> None:
    config = replace(MINI, **changes)
    trained(tmp_path, recipe_of(dict.fromkeys(STAGES, 2)), config)
    network, _ = load_network(tmp_path / "weights.safetensors")
    assert network.config == config
    finished = {path.stem for path in (tmp_path / "training").glob("*.pt")}
    assert finished == set(STAGES) - ({"flow"} if config.flow == "none" else set())
    filtered = read_state(tmp_path / "training" / "filter.pt")
    assert any(name.startswith("kalman_filter.") for name in filtered) == config.kalman
    begun = read_state(tmp_path / "training" / "lookup.pt")
    assert not torch.equal(begun["feat_emb.weight"], filtered["feat_emb.weight"])


def test_what_an_ablation_has_not_is_not_trained(tmp_path: Path) -> None:
    none = request_of(asked(tmp_path, flow="none", stage="2"))
    assert none.begins_with("filter") == ("autoencoder", "lookup")
    with pytest.raises(UsageError, match="--stage flow: this network has no part of it"):
        request_of(asked(tmp_path, flow="none", stage="flow"))
    with pytest.raises(UsageError, match=r"whose movement Eq\. 7 knows"):
        request_of(asked(tmp_path, flow="none", recipe="paper", data=(tmp_path,)))


@pytest.mark.slow
def test_the_pyramid_learns_by_the_flow_alone() -> None:
    torch.manual_seed(0)
    recipe = recipe_of({"flow": 80})
    network = Keep(replace(TINY, flow="pyramid"))
    training = Training.begin(PyramidFlowStage(network, recipe.stages["flow"]))
    material = PortraitMaterial(recipe, TINY.face_size)
    batch = training.stage.draw(material, np.random.default_rng(0), 0)
    for step in range(80):
        loss, figures = training.stage(batch, step)
        training.take_step(loss)
    assert figures["error_px"] < 0.5 * figures["zero_flow_error_px"]


@pytest.mark.slow
def test_two_processes_train_one_network(tmp_path: Path) -> None:
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    command = [*torchrun, "--no-python", sys.executable, "-c", CLI]
    options = ["--recipe", "demo", "--config", "tiny", "--steps", "30", "--threads", "1"]
    out = tmp_path / "w.safetensors"
    result = subprocess.run(
        [*command, "train", *options, "--out", str(out)],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("wrote") == 1
    network, _ = load_network(out)
    assert network.config == TINY
