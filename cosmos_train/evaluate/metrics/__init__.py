"""The scores of the field, from their papers: caption consensus, VQA accuracy, ranking. No model, no torch."""
