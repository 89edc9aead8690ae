"""Text processing without models: sentences, tokens, n-grams, personal data. Costs microseconds per clip."""
