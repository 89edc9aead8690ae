"""Views of a picture and of what is said of it: COSMOS's batches (Kim et al. 2024)."""
