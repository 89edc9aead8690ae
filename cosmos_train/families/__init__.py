"""One folder per model family: its model, objective, FLOP count, export, and the `Family` class that registers it."""
