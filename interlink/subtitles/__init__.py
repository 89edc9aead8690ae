"""Subtitle files of every common format to cues, cues to spoken words, words to sentences. Standard library only."""
