"""Variants with seeds, chains of recipes, curves: what runs several trainings and compares them."""
