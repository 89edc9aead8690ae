"""The training loop and what it stands on: processes, checkpoints, optimiser, metrics, starting weights."""
