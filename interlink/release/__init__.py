"""Releases: the documents of a build in common dataset formats."""

from interlink.release.formats import FORMATS
from interlink.release.run import Made, release
from interlink.release.settings import ReleaseSettings

__all__ = ["FORMATS", "Made", "ReleaseSettings", "release"]
