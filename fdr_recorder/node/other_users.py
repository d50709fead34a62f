# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Find processes of other users, whose topics are found but whose messages do not arrive."""

from __future__ import annotations

from contextlib import suppress
import os
from pathlib import Path
import pwd
import re
from typing import Final

SHARED_MEMORY: Final = Path('/dev/shm')
LOCKS: Final = Path('/proc/locks')
_LOCK: Final = r'FLOCK .* [0-9a-f]+:[0-9a-f]+:(\d+) '
_PORT_LOCK: Final = r'fast(?:dds|rtps)_port(\d{1,5})_el'
_FIRST_PORT: Final = 7400
_PORTS_OF_DOMAIN: Final = 250
"""Of the DDS standard: where the ports of a domain begin, which also name shared memory."""


def unheard_users(domain_id: int, directory: Path = SHARED_MEMORY) -> list[str]:
    """
    Return the other users whose processes use Fast DDS in this domain on this host, by name.

    Fast DDS prefers shared memory on one host, and creates it for its own user: of a process of
    another one the topics are found, by UDP, but nothing that it publishes arrives. The superuser
    may write everywhere, and hears all.

    Any thread; takes milliseconds.
    """
    own = os.geteuid()
    if own == 0:
        return []
    first = _FIRST_PORT + _PORTS_OF_DOMAIN * domain_id
    found: set[int] = set()
    with suppress(OSError):
        locked = _locked()  # files of processes that were killed stay behind
        for path in directory.iterdir():
            port = re.fullmatch(_PORT_LOCK, path.name)
            if port and 0 <= int(port[1]) - first < _PORTS_OF_DOMAIN:
                with suppress(FileNotFoundError):
                    status = path.stat(follow_symlinks=False)
                    if status.st_uid != own and status.st_ino in locked:
                        found.add(status.st_uid)
    return sorted(map(_name, found))


def _locked() -> set[int]:
    """Return the inodes of the files that living processes hold locks of."""
    text = LOCKS.read_text(encoding='ascii', errors='replace')
    return {int(inode) for inode in re.findall(_LOCK, text)}


def _name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
