"""Narrates a video clip by clip with a language model that remembers the previous clips (COSMO, s3): templates, what is
known of each clip, checks of the answers, and the order of the requests."""
