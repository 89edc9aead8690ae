"""The builder's client for servers with OpenAI's chat completions API. This is the only place that imports it.

Imported only when a judge is used.
"""

from interlink.engines.chat import Ask, Chat
from interlink.engines.settings import ChatSettings

__all__ = ["Ask", "Chat", "ChatSettings"]
