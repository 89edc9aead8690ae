"""The error for users: what happened and what to do. It is the builder's class, because the shard reader raises it.

The rest of the trainer imports it from here.
"""

from interlink.errors import UserError

__all__ = ["UserError"]
