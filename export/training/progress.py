"""What a run leaves for people: the losses as a table and a picture, samples, TensorBoard."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from keeprt.export.training.stage import Figures

Rgb = npt.NDArray[np.uint8]
_HEIGHT, _WIDTH, _MARGIN = 240, 640, 30


class Journal:
    """Files of one stage in the work folder: NAME.csv, NAME-losses.png, NAME-samples.png.

    Going on from a step drops the rows after it, so that the table is that of one run.
    """

    def __init__(self, folder: Path, stage: str, begin: int) -> None:
        self._folder, self._stage = folder, stage
        self._table = folder / f"{stage}.csv"
        self._rows = [row for row in _read(self._table) if int(row["step"]) <= begin]
        self._board = _tensorboard(folder / "tensorboard")
        self._flush()

    def add(self, step: int, loss: float, figures: Figures) -> None:
        """One step's loss and figures."""
        self._rows.append({"step": step, "loss": loss, **figures})
        if self._board is not None:
            for name, value in {"loss": loss, **figures}.items():
                self._board.add_scalar(f"{self._stage}/{name}", value, step)

    def show(self, sample: Sequence[Tensor]) -> None:
        """Writes the table, the curve of the loss and the sample sheet."""
        self._flush()
        curve = loss_curve([float(row["loss"]) for row in self._rows])
        _write(self._folder / f"{self._stage}-losses.png", curve)
        if sample:
            _write(self._folder / f"{self._stage}-samples.png", sample_sheet(sample))

    def _flush(self) -> None:
        if not self._rows:
            return
        with self._table.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(self._rows[0]))
            writer.writeheader()
            writer.writerows(self._rows)


def loss_curve(losses: Sequence[float]) -> Rgb:
    """The loss over the steps, logarithmic, with its running mean; the range is written beside."""
    picture = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    values = np.log10(np.maximum(np.nan_to_num(losses, nan=1e9, posinf=1e9), 1e-9))
    width = max(1, len(values) // 50)
    mean = np.convolve(np.pad(values, (width - 1, 0), mode="edge"), np.ones(width) / width, "valid")
    low, high = values.min(), max(values.max(), values.min() + 1e-6)
    for line, colour in ((values, (190, 205, 230)), (mean, (30, 60, 150))):
        x = np.linspace(_MARGIN, _WIDTH - _MARGIN, len(line))
        y = _HEIGHT - _MARGIN - (line - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)
        cv2.polylines(picture, [np.stack([x, y], 1).round().astype(np.int32)], False, colour, 1, 16)
    for value, row in ((high, 20), (low, _HEIGHT - 10)):
        text = f"{10**value:.4g}"
        cv2.putText(picture, text, (4, row), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 0, 0), 1, 16)
    return picture


def sample_sheet(sample: Sequence[Tensor]) -> Rgb:
    """Rows of pictures (n, 3, S, S) in [-1, 1], one row a tensor."""
    rows = [np.hstack(list(part.float().permute(0, 2, 3, 1).cpu().numpy())) for part in sample]
    levels = np.rint((np.clip(np.vstack(rows), -1, 1) + 1) * 127.5)
    return levels.astype(np.uint8)


def _write(path: Path, picture: Rgb) -> None:
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _tensorboard(folder: Path) -> Any:
    try:
        module = importlib.import_module("torch.utils.tensorboard")
    except ImportError:
        return None
    return module.SummaryWriter(str(folder))
