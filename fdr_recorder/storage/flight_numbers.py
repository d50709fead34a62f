# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Numbers the flights of a root: which flight is older does not depend on the clock."""

from __future__ import annotations

from contextlib import suppress
import logging
import os
from pathlib import Path
import re
import stat
from typing import Final

from fdr_recorder.config import FLIGHT_ID_PATTERN
from fdr_recorder.storage import bag_metadata
from fdr_recorder.storage.files import close_fd, replace_file

logger = logging.getLogger(__name__)

COUNTER_NAME: Final = '.fdr.counter'
MAX_FLIGHT_NUMBER: Final = 10**12
"""What is larger is no number of a flight, but damage."""
MAX_COUNTER: Final = 10**9
"""What is larger in the counter file is damage: numbers must not run out. A flight that has one of
those is believed, for the next must be newer."""
_NUMBER: Final = re.compile(
    rb'^    %b: "(\d{1,13})"$' % bag_metadata.FLIGHT_NUMBER_KEY.encode(), re.MULTILINE
)
_TAIL_BYTES: Final = 4096
"""Of `metadata.yaml`: the number is one of its last lines."""


class FlightNumbers:
    """
    The numbers of the flights of a root, for its owner. Used by one thread at a time.

    A new flight gets the number after the highest that the counter file or any flight in the root
    has: so it is the newest also where the file was lost, or where flights were copied from
    another root.
    """

    def __init__(self, root: Path) -> None:
        """Nothing is read yet."""
        self._root = root
        self._known: dict[str, int] = {}

    def take(self) -> int:
        """Return the number of a new flight; it is never given again, after a power cut either."""
        number = min(max(self._stored(), self._highest_present()) + 1, MAX_FLIGHT_NUMBER)
        try:
            replace_file(self._root / COUNTER_NAME, [b'%d\n' % number])
        except OSError as error:  # the flight itself has the number, too
            logger.warning('%s: not renewed: %s', self._root / COUNTER_NAME, error)
        return number

    def _stored(self) -> int:
        text = _read_end(self._root / COUNTER_NAME).strip()
        return _checked(text, MAX_COUNTER) if text.isdigit() else 0

    def _highest_present(self) -> int:
        """Return the highest number of a flight that is there; read only those that are new."""
        with suppress(OSError):
            for name in os.listdir(self._root):
                if name in self._known or not FLIGHT_ID_PATTERN.fullmatch(name):
                    continue
                text = _read_end(self._root / name / bag_metadata.FILE_NAME)
                if text:
                    found = _NUMBER.findall(text)
                    self._known[name] = _checked(found[-1]) if found else 0
        return max(self._known.values(), default=0)


def _checked(text: bytes, largest: int = MAX_FLIGHT_NUMBER) -> int:
    number = int(text[:20])
    return number if number <= largest else 0


def _read_end(path: Path) -> bytes:
    """Return the end of a regular file; empty if it cannot be read."""
    fd = -1
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            return b''
        return os.pread(fd, _TAIL_BYTES, max(status.st_size - _TAIL_BYTES, 0))
    except OSError:
        return b''
    finally:
        close_fd(fd)
