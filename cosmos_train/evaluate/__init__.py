"""How good a checkpoint is on material it has not seen."""
