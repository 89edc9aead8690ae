"""Loss formulas, each alone in its file."""
