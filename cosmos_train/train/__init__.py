"""The training loop and its parts: processes, checkpoints, optimiser, metrics, initial weights."""
