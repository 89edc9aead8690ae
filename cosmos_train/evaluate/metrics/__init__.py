"""Published metrics: caption consensus, VQA accuracy, ranking. No model, no torch."""
