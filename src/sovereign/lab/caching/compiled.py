"""numba's compiler as all caching loops use it.

Imports numba. Refuses nothing: where the cache folder cannot be written, the loops are compiled anew in each process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """numba.njit with a cache on disk where one can be written, else without."""
    try:
        jitted: Callable[..., Any] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        jitted = numba.njit(nogil=True)(function)
    return jitted
