"""What concerns the whole build: near-duplicates, balance of concepts, selection. Map (sketches), reduce (one pure
function over them), join (a decision a video). Reads sketches only: about 1 kB a video."""
