"""What is measured of clips and frames besides their likeness to words: hashes of pictures, safety."""
