"""File descriptors."""

from __future__ import annotations

import os
from contextlib import suppress


def close(fd: int) -> None:
    """Close a file, whatever the operating system says of it.

    Linux frees the descriptor even where close(2) fails, and an error can only be about data that
    nobody has synced: those that matter were, before.
    """
    with suppress(OSError):
        os.close(fd)
