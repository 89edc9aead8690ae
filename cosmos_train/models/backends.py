"""The only place that imports open_clip and transformers.

Both import torchvision if it is installed, and a torchvision linked to CUDA cannot be imported with a CPU torch.
`prepare` works around that; if torchvision is healthy or absent, it does nothing. Costs the import (seconds) on first
use.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from typing import Any


def prepare() -> None:
    """Makes `import torchvision` work without its compiled operators, which nothing here needs."""
    if "torchvision" in sys.modules or importlib.util.find_spec("torchvision") is None:
        return
    try:
        import torchvision
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        # The import fails in the module that registers fake kernels for the missing operators: replace it by an empty
        # one.
        sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")
        import torchvision  # noqa: F401


def transformers() -> Any:
    prepare()
    import transformers

    transformers.logging.set_verbosity_error()
    return transformers


def open_clip() -> Any:
    prepare()
    import open_clip

    return open_clip
