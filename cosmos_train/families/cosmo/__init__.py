"""CosMo: a vision tower and a split language model joined by gated cross-attention (arXiv 2401.00849)."""

KIND, NAME = "cosmo", "CosMo"
