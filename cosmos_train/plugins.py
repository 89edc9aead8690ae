"""A registry of parts by name: built-in ones, and those that other packages offer by entry points.

It is the builder's class. The rest of the trainer imports it from here.
"""

from interlink.plugins import Group

__all__ = ["Group"]
