"""DuckDB and polars: documents, clips and elements of the Parquet formats."""
# requires: duckdb==2.0.1
# requires: polars==2.1.0

import sys
from pathlib import Path

import duckdb
import polars

out = Path(sys.argv[1])
counted = duckdb.sql(f"select count(*), sum(len(clips)) from '{out}/parquet/train-*.parquet'").fetchall()
assert counted == [(5, 15)]
texts = duckdb.sql(
    f"select e.text from (select unnest(elements) e from '{out}/parquet/*.parquet') where e.type = 'text'"
).fetchall()
assert len(texts) == 36 and all(text.startswith("A hand does step") for (text,) in texts)
elements = polars.read_parquet(f"{out}/nemo/train-*.parquet")
assert elements.filter(polars.col("modality") == "image")["binary_content"].null_count() == 0
assert elements.group_by("modality").len().sort("modality").rows() == [("image", 30), ("metadata", 5), ("text", 15)]
