"""The error for a person at the keyboard: what happened and what to do. The same class as the builder's, whose shard
reader raises it; this is the one place where it is taken over.
"""

from interlink.errors import UserError

__all__ = ["UserError"]
