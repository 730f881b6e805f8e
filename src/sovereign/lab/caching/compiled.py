"""numba's compiler as all caching loops use it.

Imports numba. Refuses nothing: where the cache folder cannot be written, the loops are compiled anew in each process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """numba.njit with a cache on disk where one can be written, else without."""
    return _compile(function, "never")


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """As `compiled`, but its body is put where it is called: an inner loop that hands a dozen arrays to a function spends its time counting references."""
    return _compile(function, "always")


def _compile(function: Callable[..., Any], inline: str) -> Callable[..., Any]:
    try:
        jitted: Callable[..., Any] = numba.njit(cache=True, nogil=True, inline=inline)(function)
    except RuntimeError:
        jitted = numba.njit(nogil=True, inline=inline)(function)
    return jitted
