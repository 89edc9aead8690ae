"""Runs stages over partitions: `inline` (a plain loop) or `ray` (Ray Data). Both drive the same Worker."""
