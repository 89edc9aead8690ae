"""`interlink report`: a build in one HTML file, for people who do not have it."""
