"""What is familiar to a checkpoint: measured once, one clip in a hundred is no reason to warn."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from interlink.engines import familiar
from interlink.errors import UserError


def test_one_in_a_hundred_of_its_own_clips_is_taken_for_another(tmp_path: Path) -> None:
    fits = [n / 1000 for n in range(1000)]
    least = familiar.calibrate(tmp_path, fits[::-1], "numbers")
    assert sum(fit < least for fit in fits) == 10
    assert familiar.least_fit(tmp_path) == least


def test_a_folder_that_was_never_measured_has_no_least_fit(tmp_path: Path) -> None:
    assert familiar.least_fit(tmp_path) is None
    (tmp_path / familiar.FILE).write_text("{}")
    with pytest.raises(UserError, match="damaged"):
        familiar.least_fit(tmp_path)
    with pytest.raises(UserError, match="too few"):
        familiar.calibrate(tmp_path, [0.5] * 20, "few")


@pytest.mark.parametrize(("strange", "of", "warned"), [(2, 300, 0), (3, 300, 0), (2, 2, 1), (1, 1, 1), (60, 300, 1)])
def test_it_warns_once_of_many_strange_clips(
    strange: int, of: int, warned: int, caplog: pytest.LogCaptureFixture
) -> None:
    monitor = familiar.FamiliarityMonitor("m")
    with caplog.at_level(logging.WARNING):
        for number in range(of):
            monitor.count(number >= of - strange)
        monitor.warn()
        monitor.warn()
    assert caplog.text.count("unlike the training data of m") == warned
