"""Detects the language of a text with py3langid; the package contains the model. Costs about a millisecond per page.

Texts under 40 characters give no result: it would be wrong too often.
"""

from __future__ import annotations

from typing import Any

from interlink.engines.present import importing, require_packages

_WHO, _INSTALL = "detecting languages", "pip install 'interlink[language]'"
LEAST_CHARACTERS, MOST_CHARACTERS = 40, 20_000  # of the text that is used


class LanguageDetector:
    def __init__(self) -> None:
        self._identifier: Any = None

    @staticmethod
    def check() -> None:
        """Raises UserError where the package is missing; loads nothing."""
        require_packages(_WHO, ("py3langid",), _INSTALL)

    def open(self) -> None:
        """Raises UserError where the package is missing."""
        with importing(_WHO, _INSTALL):
            from py3langid.langid import MODEL_FILE, LanguageIdentifier
        self._identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)

    def close(self) -> None:
        self._identifier = None

    def detect(self, text: str) -> tuple[str, float] | None:
        """(two letters, probability 0..1); None if the text is too short."""
        text = " ".join(text[:MOST_CHARACTERS].split())
        if sum(character.isalpha() for character in text) < LEAST_CHARACTERS:
            return None
        language, probability = self._identifier.classify(text)
        return str(language), round(float(probability), 4)
