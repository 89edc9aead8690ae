"""What is done with words as such: sentences, tokens, shingles, personal data. No models; microseconds a clip."""
