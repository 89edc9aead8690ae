"""mlcroissant: the description is valid, and its records are the documents."""
# requires: mlcroissant==1.1.1
# requires: pyarrow==26.0.1
# requires: pandas==3.1.1
# requires: pillow==12.0.0

import sys
from pathlib import Path

import mlcroissant

found = mlcroissant.Dataset(jsonld=str(Path(sys.argv[1]) / "croissant.json"))
assert not found.metadata.issues.errors, found.metadata.issues.errors
keys = {
    row[f"{one.id}/id"]
    for one in found.metadata.record_sets
    if one.id in ("parquet", "nemo")
    for row in found.records(one.id)
}
assert keys == {f"doc{number}".encode() for number in range(12)}
assert sum(row["nemo/modality"] == b"image" for row in found.records("nemo")) == 72
assert sum(1 for _ in found.records("pairs")) == 72
