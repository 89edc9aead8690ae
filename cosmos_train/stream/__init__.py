"""From tar shards to batches: a fixed order of samples, whose whole state is one integer."""
