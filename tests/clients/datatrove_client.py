"""datatrove: its Parquet reader on the documents."""
# requires: datatrove==0.6.0
# requires: pyarrow==22.0.0

import sys
from pathlib import Path

from datatrove.pipeline.readers import ParquetReader

reader = ParquetReader(str(Path(sys.argv[1]) / "parquet"), glob_pattern="train-*.parquet", text_key="document")
found = list(reader())
assert len(found) == 5 and all('"segments"' in one.text for one in found)
