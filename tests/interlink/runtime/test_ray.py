"""What a worker says must stop the build reaches the person in its own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from builds import make
from interlink.errors import UserError


@pytest.mark.ray
def test_a_worker_that_cannot_go_on_stops_the_build_with_what_and_what_to_do(
    sample_clips: Path, tmp_path: Path
) -> None:
    sets = ("executor.kind=ray", "caption.engine=transformers", f"caption.transformers.model={tmp_path / 'nothing'}")
    with pytest.raises(UserError) as error:
        make(tmp_path / "root", sample_clips, *sets).run(limit=1)
    assert "nothing" in error.value.what
    assert "caption.transformers.model" in error.value.do
