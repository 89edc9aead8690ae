"""Evaluation of checkpoints on held-out material."""
