"""English intermediate-task training for zero-shot cross-lingual transfer: the code behind the study's notebooks.

`train` and `evaluate` work on data sets in memory, see `stilts.training.fine_tuning`.
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["evaluate", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'stilts' has no attribute '{name}'")
    from stilts.training import fine_tuning  # brings torch, which the command line need not wait for

    return getattr(fine_tuning, name)
