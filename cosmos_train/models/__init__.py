"""Architectures only: no losses, no distributed code."""
