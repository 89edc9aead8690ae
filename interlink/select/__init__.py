"""Decisions over the whole build: near-duplicates, balance of concepts, selection. Map (sketches), reduce (one pure
function over all sketches), join (one decision per video). Reads only sketches: about 1 kB per video."""
