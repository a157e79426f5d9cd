"""The flicker picture: one column of pixels over time."""

from __future__ import annotations

import numpy as np
import pytest

from keeprt.benchmarks.evaluate.flicker import flicker_picture, stretched
from keeprt.engine.errors import UsageError


def frames(count: int = 5, height: int = 6, width: int = 9) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (height, width, 3)).astype(np.uint8) for _ in range(count)]


@pytest.mark.parametrize(("asked", "column"), [(None, 4), (0, 0), (8, 8)])
def test_column_t_is_that_column_of_frame_t(asked: int | None, column: int) -> None:
    clip = frames()
    picture = flicker_picture(clip, asked)
    assert picture.shape == (6, 5, 3) and picture.dtype == np.uint8
    for t, frame in enumerate(clip):
        np.testing.assert_array_equal(picture[:, t], frame[:, column])


def test_a_still_clip_draws_rows_of_one_colour() -> None:
    picture = flicker_picture(frames(1) * 7)
    assert (picture == picture[:, :1]).all()


def test_stretching_repeats_every_frame_as_often() -> None:
    picture = flicker_picture(frames())
    wide = stretched(picture, 12)
    assert wide.shape == (6, 15, 3)
    np.testing.assert_array_equal(wide[:, ::3], picture)
    np.testing.assert_array_equal(wide[:, 2::3], picture)


@pytest.mark.parametrize("column", [-1, 9])
def test_a_column_that_is_not_there_is_refused(column: int) -> None:
    with pytest.raises(UsageError, match="9 pixels wide"):
        flicker_picture(frames(), column)
