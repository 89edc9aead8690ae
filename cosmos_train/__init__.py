"""The trainer: multimodal pretraining from plain tar shards, with exact resume."""
