"""Parses subtitle files of all common formats into cues, words and sentences. Uses only the standard library."""
