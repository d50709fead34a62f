# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Where the ground station, or a router of MAVLink, is: an endpoint, as people write it."""

from __future__ import annotations

import re
import termios
from typing import Final, NamedTuple

DEFAULT_BAUD: Final = 57600
EXAMPLES: Final = (
    'udpout:HOST:PORT, udpin:HOST:PORT, tcp:HOST:PORT, serial:DEVICE or serial:DEVICE:BAUD'
)
_NETWORK: Final = re.compile(r'(udpout|udpin|tcp):(?:\[([^]]+)\]|([^:\[\]]+)):(\d{1,5})')
_SERIAL: Final = re.compile(r'(?:serial:)?(/[^:,]+)(?:[:,](\d+))?')


class Endpoint(NamedTuple):
    """
    One end of a link.

    Attributes:
        kind: `udpout`, `udpin`, `tcp` or `serial`.
        place: Host, or device.
        number: Port, or baud rate.

    """

    kind: str
    place: str
    number: int

    def __str__(self) -> str:
        """Return it as `parse_endpoint` takes it."""
        place = f'[{self.place}]' if ':' in self.place else self.place
        return f'{self.kind}:{place}:{self.number}'


def parse_endpoint(text: str) -> Endpoint:
    """Return an endpoint; raise `ValueError`, with examples, if the text is none."""
    if match := _NETWORK.fullmatch(text):
        kind, bracketed, plain, port = match.groups()
        if not 0 < int(port) < 65536:
            raise ValueError(f'{port} is no port')
        return Endpoint(kind, bracketed or plain, int(port))
    if match := _SERIAL.fullmatch(text):
        baud = int(match[2] or DEFAULT_BAUD)
        if speed_of(baud) is None:
            raise ValueError(f'{baud} is no baud rate of this system')
        return Endpoint('serial', match[1], baud)
    raise ValueError(f'must be one of {EXAMPLES}, not {text!r}')


def speed_of(baud: int) -> int | None:
    """Return the constant of termios for a baud rate; None if there is none."""
    speed = getattr(termios, f'B{baud}', None)
    return speed if isinstance(speed, int) else None


def mistake_in(text: str) -> str:
    """Return what is wrong with an endpoint; empty if nothing is, or if it is empty."""
    try:
        if text:
            parse_endpoint(text)
    except ValueError as error:
        return str(error)
    return ''
