"""Measures of clips and frames in addition to their similarity with text: hashes of pictures, safety."""
