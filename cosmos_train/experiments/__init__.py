"""Experiments of several runs: variants with seeds, chains of recipes, curves."""
