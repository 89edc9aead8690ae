"""Annotation files of the public benchmarks, each in the layout its authors publish, as lists of examples."""
