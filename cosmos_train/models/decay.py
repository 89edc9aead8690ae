"""The parameters that weight decay applies to, and those that are gates, by name and shape."""

from __future__ import annotations

from torch import nn

# Parameters that are vectors despite their shape: learned tokens and positions do not decay, like biases and norms.
_UNDECAYED = ("latents", "text_query.query", "embed", "wte", "wpe")


def decays(name: str, parameter: nn.Parameter) -> bool:
    """Matrices, except learned tokens, positions and embeddings."""
    return parameter.ndim >= 2 and not any(part in name for part in _UNDECAYED)


def is_gate(name: str) -> bool:
    return name.endswith("_gate")
