"""The shard format, shared by `interlink` and `cosmos_train`: deterministic tars, their index, the manifest.

Imports neither Ray nor torch.
"""

from interlink.shards.index import Entry, read_index, read_sample
from interlink.shards.resolve import resolve
from interlink.shards.tar import ShardError, parse
from interlink.shards.writer import ShardWriter

__all__ = ["Entry", "ShardError", "ShardWriter", "parse", "read_index", "read_sample", "resolve"]
