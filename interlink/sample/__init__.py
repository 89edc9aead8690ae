"""The sample world: short how-to videos drawn from a seed, so that everything about them is known (`truth.json`).

Importing this is light; drawing and encoding (PIL, numpy, av) are imported by the first `render`, about 0.2 s a video.
"""

from interlink.sample.plan import SampleOptions
from interlink.sample.renderer import render

__all__ = ["SampleOptions", "render"]
