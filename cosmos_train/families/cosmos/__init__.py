"""COSMOS: a CLIP trained with cross-modality self-distillation (arXiv 2412.01814)."""

KIND, NAME = "cosmos", "COSMOS"
