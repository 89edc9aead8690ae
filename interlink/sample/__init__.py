"""The sample world: short how-to videos generated from a seed, so that everything about them is known (`truth.json`).

Importing this is cheap; the first `render` imports drawing and encoding (PIL, numpy, av). Costs about 0.2 s per video.
"""

from interlink.sample.plan import SampleOptions
from interlink.sample.renderer import render

__all__ = ["SampleOptions", "render"]
