# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A link to the ground that is opened again, with growing pauses, whenever it dies."""

from __future__ import annotations

import logging
from typing import Final

from fdr_recorder.ground.endpoint import Endpoint
from fdr_recorder.ground.links import Link, open_link

logger = logging.getLogger(__name__)

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 3.0


class Line:
    """
    The link to one endpoint. Used by one thread; no method raises, and none waits for the link.

    Attributes:
        trouble: Why the link is down; empty while it is open.

    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.trouble = 'not opened yet'
        self._link: Link | None = None
        self._pause_s = FIRST_PAUSE_S
        self._open_at = 0.0
        self._arrivals = 0

    @property
    def fd(self) -> int | None:
        """Return the descriptor to wait for; None while there is none."""
        return self._link.fd if self._link is not None else None

    @property
    def arrivals(self) -> int:
        """Return how often somebody appeared at the other end."""
        return self._arrivals + (self._link.arrivals if self._link is not None else 0)

    def is_ready(self, now: float) -> bool:
        """Tell whether somebody is there, and takes data; open the link if it is time to."""
        try:
            if self._link is None:
                if now < self._open_at:
                    return False
                self._link = open_link(self.endpoint, now)
            is_ready = self._link.is_ready(now)
        except OSError as error:
            self.fail(error, now)
            return False
        if is_ready:
            self._pause_s = FIRST_PAUSE_S
            if self.trouble:
                logger.info('%s is open', self.endpoint)
                self.trouble = ''
        return is_ready

    def send(self, data: bytes, now: float) -> bool:
        """Send frames; return whether the link took them."""
        try:
            return self._link is not None and self._link.send(data, now)
        except OSError as error:
            self.fail(error, now)
            return False

    def receive(self, now: float) -> bytes:
        """Return what has come."""
        try:
            return self._link.receive(now) if self._link is not None else b''
        except OSError as error:
            self.fail(error, now)
            return b''

    def fail(self, error: Exception, now: float) -> None:
        """Close a link that is dead; open another one after a pause."""
        trouble = str(getattr(error, 'strerror', None) or error)
        if trouble != self.trouble:
            logger.warning('%s: %s; trying again', self.endpoint, trouble)
        self.trouble = trouble
        self.close()
        self._open_at = now + self._pause_s
        self._pause_s = min(2 * self._pause_s, LONGEST_PAUSE_S)

    def close(self) -> None:
        """Close the link."""
        if self._link is not None:
            self._arrivals += self._link.arrivals
            link, self._link = self._link, None
            link.close()
