# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""What a flight says of its seals; nothing of it is checked here, see `verify`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
import os
from pathlib import Path
import re
from typing import Any, Final

from fdr_recorder.errors import SealError
from fdr_recorder.record.kinds import FlightHeader
from fdr_recorder.seal.opening import Opening
from fdr_recorder.seal.openssh import fingerprint, parse_key
from fdr_recorder.seal.sidecars import newest_seal, SEALS_NAME, SUMS_NAME, SUMS_SIGNATURE_NAME

_OPENING: Final = 'fdr-opening-'
_UTC: Final = re.compile(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z', re.ASCII)
_SIDECARS: Final = (SEALS_NAME, SUMS_NAME, SUMS_SIGNATURE_NAME)


def is_opening(header: FlightHeader | None) -> bool:
    """Tell whether the header of a flight says that it is sealed."""
    return header is not None and header.signing_key_rotation_event.startswith(_OPENING)


def has_sidecars(flight: Path) -> bool:
    """Tell whether there are files that only a sealed flight has."""
    return any(os.path.lexists(flight / name) for name in _SIDECARS)


@dataclass(frozen=True)
class SealsInfo:
    """
    What a flight says of its seals.

    Attributes:
        fingerprint: Of the vehicle's identity key; empty if the header does not tell it.
        seals: How many seals were made, those of dropped segments included, by the newest that is
            there.
        utc: When that was made (ISO 8601, system clock); empty if there is none.

    """

    fingerprint: str = ''
    seals: int = 0
    utc: str = ''

    def __str__(self) -> str:
        """Say it in words."""
        by = f'with key {self.fingerprint}' if self.fingerprint else 'with an unknown key'
        seals = f'{self.seals:,} seals, the newest of {self.utc}' if self.utc else 'no seal yet'
        return f'{by}, {seals}; `fdr verify --keys` checks that'

    def to_dict(self) -> dict[str, Any]:
        """Return it for `json.dumps`."""
        return asdict(self)


def seals_info(flight: Path, header: FlightHeader | None) -> SealsInfo | None:
    """
    Return what a flight says of its seals; None if it is not sealed.

    Raises:
        OSError: A file cannot be read.

    """
    if header is None or not is_opening(header):
        return None
    try:
        opening = Opening.parse(header.signing_key_rotation_event)
        key = fingerprint(parse_key(opening.identity))
    except SealError:
        key = ''
    newest = newest_seal(flight)
    if newest is None:
        return SealsInfo(key)
    return SealsInfo(key, newest.number + 1, newest.utc if _UTC.fullmatch(newest.utc) else '')
