"""NeMo Curator: its reader of interleaved Parquet, a filter, and the writer's schema check, on the format `nemo`."""
# requires: nemo-curator==1.4.0
# requires: torch==2.13.0
# requires: torchvision==0.28.0
# requires: transformers==5.24.0
# requires: pillow==12.0.0
# requires: opencv-python-headless==5.0.0.93

import io
import sys
from pathlib import Path

import tiny_words  # noqa: F401 - makes torchvision importable

# isort: split
from nemo_curator.stages.interleaved.filter.image_to_text_ratio_filter import InterleavedImageToTextRatioFilterStage
from nemo_curator.stages.interleaved.io.readers.parquet import InterleavedParquetReaderStage
from nemo_curator.tasks import FileGroupTask
from PIL import Image

out = Path(sys.argv[1])
files = sorted(str(path) for path in (out / "nemo").glob("*.parquet"))
for fields in (None, ("role", "start")):
    task = FileGroupTask(dataset_name="told", data=files)
    batch = InterleavedParquetReaderStage(fields=fields).process(task)
    rows = batch.to_pandas()
    assert batch.num_items == 12, batch.num_items
    assert rows.groupby("modality").size().to_dict() == {"image": 72, "metadata": 12, "text": 36}
    texts = rows[rows.modality == "text"]
    assert texts.text_content.str.startswith("A hand does step").all() and set(texts.role) == {"caption"}
    pictures = rows[rows.modality == "image"]
    assert {Image.open(io.BytesIO(data)).size for data in pictures.binary_content} == {(48, 32)}
parts = InterleavedParquetReaderStage(max_batch_bytes=20_000).process(FileGroupTask(dataset_name="told", data=files))
assert len(parts) > 1 and sum(part.num_items for part in parts) == 12
kept = InterleavedImageToTextRatioFilterStage(min_ratio=0.1, max_ratio=1.0).process(batch)
assert kept.num_items == 12
assert InterleavedImageToTextRatioFilterStage(min_ratio=5.0).process(batch).num_items == 0
