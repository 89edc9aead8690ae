"""Makes `import torchvision` work beside a torch of another kind. Call it before importing transformers or open_clip.

A torchvision built for CUDA cannot load its operators beside a CPU torch, and then fails at import although its pure
Python transforms, all that image processors use, would work. Costs nothing where torchvision is healthy or absent.
"""

from __future__ import annotations

import importlib
import sys
import types

_OPERATORS = "torchvision._meta_registrations"  # registers fake kernels of operators that did not load


def ensure_torchvision() -> None:
    """Imports torchvision if it is there, without its compiled operators where those cannot load.

    Raises whatever else is wrong with torchvision. Its operators (`torchvision.ops`, `torchvision.io`) stay unusable.
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
