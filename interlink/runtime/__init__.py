"""What runs a build: leases, partitions, workers, and the two executors (`inline`, `ray`) that drive them."""
