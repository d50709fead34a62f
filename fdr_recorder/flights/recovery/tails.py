# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Keeps what recovery cuts off a segment: nothing that was on the disk is lost by it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
import os
from pathlib import Path
from typing import Final

from fdr_recorder.flights.directory import tail_files, TAIL_SUFFIX
from fdr_recorder.storage.files import close_fd, replace_file

_BLOCK_BYTES: Final = 1 << 20


def keep_tail(segment: Path, start: int) -> str:
    """
    Copy the end of a segment, which is to be cut off, into a file of its own, and sync that.

    The file is `<segment>.tail`, or `<segment>.tail.2` and so on where an earlier recovery has
    left one. A recovery that was interrupted has left this one: it is not copied twice.

    Args:
        segment: The segment.
        start: Where the end begins, in bytes.

    Returns:
        The name of the file; empty if there is nothing to cut.

    Raises:
        OSError: It cannot be read or written, for example on a full disk; nothing may be cut.

    """
    fd = os.open(segment, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        size = os.fstat(fd).st_size - start
        if size <= 0:
            return ''
        tails = [kept.path for kept in tail_files(segment.parent) if kept.of == segment.name]
        for tail in tails:
            if tail.stat().st_size == size and _is_same(fd, start, tail):
                return tail.name
        path = segment.with_name(segment.name + TAIL_SUFFIX)
        number = 1
        while os.path.lexists(path):
            number += 1
            path = segment.with_name(f'{segment.name}{TAIL_SUFFIX}.{number}')
        try:
            replace_file(path, _blocks(fd, start), is_of_flight=True)
        except OSError as error:
            reason = (
                f'{error.strerror}; the {size} bytes at the end of {segment.name} cannot be kept, '
                'so it is left as it is: free space, and recover again'
            )
            raise OSError(error.errno, reason, str(path)) from error
        return path.name
    finally:
        close_fd(fd)


def _blocks(fd: int, start: int) -> Iterator[bytes]:
    while block := os.pread(fd, _BLOCK_BYTES, start):
        yield block
        start += len(block)


def _is_same(fd: int, start: int, tail: Path) -> bool:
    tail_fd = os.open(tail, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        pairs = zip_longest(_blocks(fd, start), _blocks(tail_fd, 0))
        return all(block == kept for block, kept in pairs)
    finally:
        close_fd(tail_fd)
