"""Looking at builds in a browser: `interlink view`. `catalogue` and what it reads need no web server."""
