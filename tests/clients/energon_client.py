"""Megatron-Energon: `prepare` without questions, then its own loader; keys are unique over splits."""
# requires: megatron-energon==7.4.1

import shutil
import subprocess
import sys
from pathlib import Path

from megatron.energon import WorkerConfig, get_loader, get_train_dataset

pairs = Path("energon-pairs").absolute()
shutil.rmtree(pairs, ignore_errors=True)
shutil.copytree(Path(sys.argv[1]) / "pairs", pairs)
subprocess.run(
    [
        Path(sys.executable).with_name("energon"), "prepare", pairs, "--non-interactive", "--num-workers", "1",
        "--split-parts", "train:train/.*", "--split-parts", "val:val/.*",
        "--sample-type", "CaptioningSample", "--field-map", '{"image": "jpg", "caption": "txt"}',
    ],
    check=True, capture_output=True,
)  # fmt: skip
worker = WorkerConfig(rank=0, world_size=1, num_workers=0)
options = {"batch_size": None, "shuffle_buffer_size": None, "max_samples_per_sequence": None, "repeat": False}
found = list(get_loader(get_train_dataset(pairs, worker_config=worker, **options)))
assert len({sample.__key__ for sample in found}) == len(found) == 30
assert all(sample.image.shape == (3, 32, 48) and sample.caption.startswith("A hand does step") for sample in found)
