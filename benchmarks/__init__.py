"""What is claimed about speed and accuracy, as commands that print it: `python -m benchmarks`."""
