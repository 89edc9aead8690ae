"""open_clip's trainer: its own data pipeline, transform and tokenizer on the pairs."""
# requires: open_clip_torch==3.3.0
# requires: webdataset==0.2.86
# requires: pandas==2.3.3
# requires: braceexpand==0.1.7

import os
import sys
from argparse import Namespace
from pathlib import Path

import open_clip
from open_clip_train.data import get_wds_dataset

os.environ["WDS_EPOCH"] = "0"
tars = str(Path(sys.argv[1]) / "pairs/train/{00000..00000}.tar")
arguments = Namespace(
    train_data=tars, train_num_samples=None, train_data_upsampling_factors=None, seed=0, val_data=None,
    val_num_samples=None, workers=0, world_size=1, batch_size=10,
)  # fmt: skip
transform = open_clip.image_transform(32, is_train=False)
loader = get_wds_dataset(arguments, transform, True, tokenizer=open_clip.get_tokenizer("ViT-B-32")).dataloader
assert (loader.num_samples, loader.num_batches) == (30, 3)
batches = list(loader)
assert [tuple(images.shape) for images, _ in batches] == [(10, 3, 32, 32)] * 3
assert all((texts[:, 0] == 49406).all() for _, texts in batches)
