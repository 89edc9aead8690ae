"""The builder's client of servers that speak OpenAI's chat completions; this is the one place where it is taken over.

Imported when something is judged, not before.
"""

from interlink.engines.chat import Ask, Chat
from interlink.engines.settings import ChatSettings

__all__ = ["Ask", "Chat", "ChatSettings"]
