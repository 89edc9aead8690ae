"""Telling a video clip by clip by a language model that remembers what came before (COSMO, s3): templates, what is
known of each clip, checks of the answers, and the order of the questions."""
