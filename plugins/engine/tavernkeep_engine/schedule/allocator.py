"""The C library's allocator, as it suits values of many megabytes."""

import ctypes
import os
import sys
from typing import Final

_M_MMAP_THRESHOLD: Final = -3  # of `mallopt` in glibc's malloc.h
_MAPPED_FROM: Final = 256 * 1024  # bytes


def settle_allocator() -> None:
    """Let blocks of 256 KiB and more go back to the system when they are freed, always.

    glibc maps such blocks one by one at first, but each that is freed raises the size from which on it does, up to 32 MiB. From then on
    they come from its heaps, from which it gives back only what is at their ends. After half a minute of executions with outputs of 1 to
    50 MB, with 64 MiB for all of them, the process stayed at 620 MiB; with a fixed size it goes back to 230 at most, of 100 when it was
    idle. Beside that a bound on the number of heaps (`MALLOC_ARENA_MAX`) made no difference, and `malloc_trim` has little left to do.

    Elsewhere than with glibc, and where the operator has set `MALLOC_MMAP_THRESHOLD_` or `GLIBC_TUNABLES`, it is left as it is.
    """
    if sys.platform != "linux" or {"MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES"} & os.environ.keys():
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # else it is another C library
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM)
