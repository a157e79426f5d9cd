"""`keeprt export` without `--precision`: what fits this machine, said and written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from keeprt.engine.bundle.load import load_bundle
from keeprt.engine.cli.options.states import precision_of
from keeprt.engine.devices.cuda import driver
from keeprt.engine.devices.cuda.driver import Card, Driver, has_card
from keeprt.engine.errors import BackendError

Command = Callable[..., tuple[int, str, str]]
CARD = Card(0, "Test Card", "sm89", 24 << 30)


@pytest.fixture
def driver_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[tuple[Card, ...] | None], None]:
    """Makes the machine one whose driver shows these cards; None for one without a driver."""

    def found(cards: tuple[Card, ...] | None) -> Driver:
        if cards is None:
            raise BackendError("no NVIDIA driver on this machine")
        return Driver((13, 0), cards)

    return lambda cards: monkeypatch.setattr(driver, "find_driver", lambda: found(cards))


@pytest.mark.parametrize(
    ("cards", "expected"), [((CARD,), "fp16-norms"), ((), "fp32"), (None, "fp32")]
)
def test_auto_is_for_the_card_that_is_there(driver_with, cards, expected) -> None:
    driver_with(cards)
    assert has_card() == bool(cards)
    assert precision_of("auto") == expected
    assert precision_of("mixed") == "mixed"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cards", "said"),
    [
        ((CARD,), "fp16-norms: this machine has an NVIDIA card; for a processor --precision fp32"),
        (None, "fp32: no NVIDIA card here; for a card --precision fp16-norms"),
    ],
)
def test_one_line_says_which_and_the_manifest_too(
    keeprt: Command, tmp_path: Path, driver_with, cards, said: str
) -> None:
    driver_with(cards)
    code, _, errors = keeprt("export", "--weights", few_weights(tmp_path), "--out", tmp_path / "b")
    assert code == 0, errors
    assert said in errors.splitlines()
    assert load_bundle(tmp_path / "b").manifest.precision == said.partition(":")[0]


def test_nothing_to_calibrate_in_float32(keeprt: Command, tmp_path: Path, driver_with) -> None:
    driver_with(None)
    (tmp_path / "clip").mkdir()
    code, _, errors = keeprt("export", "--calibrate", tmp_path / "clip", "--out", tmp_path / "b")
    assert code == 2
    assert "--calibrate has no effect in float32: leave it out, or add --precision" in errors


def few_weights(folder: Path) -> Path:
    """A network of two small subgraphs, as `keeprt train` writes one."""
    pytest.importorskip("torch")
    from safetensors.torch import save_file

    from keeprt.export.model import Keep, KeepConfig
    from keeprt.export.weights.file import CONFIGURATION

    config = KeepConfig.tiny(
        face_size=64, channel_multipliers=(1, 1, 2), cft_scales=(16,), kalman=False, cfa=False
    )
    metadata = {CONFIGURATION: json.dumps(config.as_dict())}
    save_file(dict(Keep(config).state_dict()), str(folder / "few.safetensors"), metadata)
    return folder / "few.safetensors"
