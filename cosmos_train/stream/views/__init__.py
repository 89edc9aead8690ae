"""Views of a picture and of its captions: COSMOS's batches (Kim et al. 2024)."""
