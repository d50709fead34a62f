"""Compression of chunks, by the names that MCAP gives it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Final

Compressor = Callable[[bytes], bytes]


def _lz4() -> Compressor:
    from lz4.frame import compress  # noqa: PLC0415 - loaded only where it is configured

    return compress  # type: ignore[no-any-return]


def _zstd() -> Compressor:
    if sys.version_info >= (3, 14):
        from compression.zstd import compress  # noqa: PLC0415
    else:
        from backports.zstd import compress  # noqa: PLC0415
    return lambda data: compress(data, level=1)


_LOADERS: Final[Mapping[str, Callable[[], Compressor]]] = {'lz4': _lz4, 'zstd': _zstd}


def compressor(name: str) -> Compressor | None:
    """Return the function that compresses a chunk; None for `none`."""
    return None if name == 'none' else _LOADERS[name]()
