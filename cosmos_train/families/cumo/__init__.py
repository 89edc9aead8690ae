"""CuMo: a language model that reads pictures through a connector, with co-upcycled experts (arXiv 2405.05949)."""

KIND, NAME = "cumo", "CuMo"
