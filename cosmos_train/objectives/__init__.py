"""What a batch is to a model family: which losses, over which tokens and pairs."""
