"""Reads existing annotations (published captions, speech, steps) by the video's id."""
