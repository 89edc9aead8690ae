"""Releases: what a build holds, in the formats that others read."""

from interlink.release.formats import FORMATS
from interlink.release.run import Made, release
from interlink.release.settings import ReleaseSettings

__all__ = ["FORMATS", "Made", "ReleaseSettings", "release"]
