"""Access to sources: list files, addresses, local media with subtitles, and rate-limited transfers over HTTP."""
