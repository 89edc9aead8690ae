"""Loss formulas, one per file."""
