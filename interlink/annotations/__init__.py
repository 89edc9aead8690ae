"""Annotations that exist already: published captions, speech, steps, found by a video's id in one pass."""
