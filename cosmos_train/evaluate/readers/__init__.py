"""Readers of public benchmarks' annotation files, each in its published layout, as lists of examples."""
