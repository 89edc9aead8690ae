"""Names of runs, shards and documents."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink.ids import safe_id
from interlink.shards.names import document_keys, index_name, is_of_run, run_of, shard_name
from interlink.shards.tar import LONGEST_NAME


def test_sixteen_partitions_of_a_generation_are_a_run() -> None:
    assert run_of("000-00000") == run_of("000-00015") == "000-0000"
    assert run_of("002-00016") == "002-0001"
    with pytest.raises(ValueError, match="not named"):
        run_of("part-7")


def test_files_of_a_run_are_known_by_name() -> None:
    shard = shard_name("001-0002", 7)

    assert (shard, index_name(shard)) == ("001-0002-007.tar", "001-0002-007.index.parquet")
    assert is_of_run(shard, "001-0002") and is_of_run(index_name(shard), "001-0002")
    assert not is_of_run("001-0003-007.tar", "001-0002")
    assert not is_of_run("MANIFEST.json", "001-0002")


IDS = st.text("ab-0.é", min_size=1, max_size=90).map(safe_id).filter(lambda found: safe_id(found) == found)


@given(st.dictionaries(IDS, st.integers(1, 4), max_size=8))
def test_no_two_documents_share_a_key(counts: dict[str, int]) -> None:
    keys = [key for item, count in counts.items() for key in document_keys(item, count)]

    assert len(keys) == len(set(keys))
    assert all(len(f"{key}.9999.jpg") <= LONGEST_NAME and safe_id(key[:80]) == key[:80] for key in keys)


def test_an_id_that_looks_like_a_part_of_another_stays_apart() -> None:
    assert document_keys("film", 2) == ["film-000", "film-001"]
    assert document_keys("film-001", 1) != ["film-001"]
    assert document_keys("aBc_dEf-123x", 1) == ["aBc_dEf-123x"]
