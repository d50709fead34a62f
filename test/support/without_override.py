# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Processes that permissions stop, also where the tests run as root."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_CAPABILITY_VERSION_3 = 0x20080522
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_STRANGER = 54321
"""A user and a group that nobody is in."""


def give_away(path: Path, mode: int) -> None:
    """Give a file or a directory to somebody else; where that is impossible, take all rights."""
    if os.geteuid() == 0:
        os.chown(path, _STRANGER, _STRANGER)
        path.chmod(mode)
    else:
        path.chmod(mode & 0o7)


def drop_override_of_this_process() -> None:
    """Give up root's right to read and to write everything (Linux: capset(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, and those above 31
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), 'capget')
    for number in range(3):
        sets[number] &= ~(1 << _CAP_DAC_OVERRIDE | 1 << _CAP_DAC_READ_SEARCH)
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), 'capset')
