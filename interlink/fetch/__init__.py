"""Getting at sources: list files, addresses, local media with their subtitles, and polite transfers over HTTP."""
