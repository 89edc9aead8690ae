"""Makes `import torchvision` work with a torch of another build. Call it before importing transformers or open_clip.

A torchvision built for CUDA cannot load its operators with a CPU torch, and then fails at import, although its pure
Python transforms, which are all that image processors use, work. Costs nothing where torchvision works or is absent.
"""

from __future__ import annotations

import importlib
import sys
import types

_OPERATORS = "torchvision._meta_registrations"  # registers fake kernels of operators that did not load


def ensure_torchvision() -> None:
    """Imports torchvision if it is installed, without its compiled operators if those cannot load.

    Raises any other import error of torchvision. Its operators (`torchvision.ops`, `torchvision.io`) stay unusable.
    """
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
    except RuntimeError as error:
        if "operator torchvision::" not in str(error):
            raise
        for name in [n for n in sys.modules if n == "torchvision" or n.startswith("torchvision.")]:
            del sys.modules[name]
        sys.modules[_OPERATORS] = types.ModuleType(_OPERATORS)
        importlib.import_module("torchvision")
