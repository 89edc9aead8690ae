"""Parts by name, ours and those that other packages offer by entry points. The same class as the builder's; this is the
one place where it is taken over.
"""

from interlink.plugins import Group

__all__ = ["Group"]
