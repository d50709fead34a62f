# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""
Whether a flight is sealed, and by which key. It is recorded in any case.

The identity key is read when a flight is opened, signs the keys of that flight, and is forgotten.
"""

from __future__ import annotations

from contextlib import suppress
import logging
import os
from pathlib import Path
from typing import Final, TYPE_CHECKING

from fdr_recorder.alerts import AlertBoard
from fdr_recorder.config import FLIGHT_ID_PATTERN, SealConfig
from fdr_recorder.errors import FdrError
from fdr_recorder.record.kinds import FlightHeader
from fdr_recorder.record.segment_names import segment_name
from fdr_recorder.seal.opening import principal_of
from fdr_recorder.seal.seal import Seal
from fdr_recorder.seal.sidecars import newest_seal
from fdr_recorder.storage.files import replace_file
from fdr_recorder.units import encodable

if TYPE_CHECKING:  # it needs a library that not everybody has
    from fdr_recorder.seal.flight_sealer import FlightSealer
    from fdr_recorder.seal.identity import Identity

logger = logging.getLogger(__name__)

NEWEST_NAME: Final = '.fdr.sealed'
"""File of the flight root that names the newest sealed flight."""


def load_library() -> None:
    """
    Import what sealing needs, so that no flight has to wait for it.

    Raises:
        ExtraMissingError: It is not installed.

    """
    import fdr_recorder.seal.flight_sealer  # noqa: F401, PLC0415 - needs an extra


def begin_sealing(
    config: SealConfig, root: Path, header: FlightHeader, alerts: AlertBoard
) -> FlightSealer | None:
    """Return what seals a new flight of a root; None if it is not sealed, by a fault an alert."""
    if not config.key_file:
        return None
    try:
        sealer = _begin(config, root, header)
    except (FdrError, OSError) as error:
        alerts.raise_alert('not_sealed', f'the flight is not sealed: {error}')
        return None
    alerts.clear('not_sealed', 'the flight is sealed')
    sealer.on_begun = lambda: _note_newest(root, header.flight_id)
    sealer.on_failure = lambda error: alerts.raise_alert(
        'not_sealed', f'the flight is sealed only up to here: {error!r}'
    )
    return sealer


def try_key(config: SealConfig) -> str:
    """
    Sign something with the vehicle's key, as when a flight is opened; return its fingerprint.

    Raises:
        FdrError: It cannot be used; the message says what to do.
        OSError: A file cannot be read.

    """
    with _load_key(config) as identity:
        identity.sign(b'')
        return identity.fingerprint


def _load_key(config: SealConfig) -> Identity:
    load_library()
    from fdr_recorder.seal.identity import load_identity, read_passphrase  # noqa: PLC0415

    return load_identity(config.key_file, read_passphrase(config.passphrase_file))


def _begin(config: SealConfig, root: Path, header: FlightHeader) -> FlightSealer:
    vehicle = ' '.join(encodable(header.vehicle_id).split())
    with _load_key(config) as identity:
        from fdr_recorder.seal.flight_sealer import FlightSealer  # noqa: PLC0415 - needs an extra

        return FlightSealer(
            identity,
            flight=header.flight_id,
            vehicle=vehicle,
            principal=principal_of(vehicle) or os.uname().nodename,
            number=header.flight_number,
            previous=_previous(root),
        )


def _previous(root: Path) -> tuple[str, str]:
    """Return the newest sealed flight of a root, and its newest seal."""
    previous = ''
    with suppress(OSError, ValueError):
        name = (root / NEWEST_NAME).read_text().strip()
        previous = name if FLIGHT_ID_PATTERN.fullmatch(name) else ''
    seal: Seal | None = None
    if previous:
        try:
            seal = newest_seal(root / previous)
            if seal is not None:  # what names it must not outlive it
                _force(root / previous / segment_name(seal.segment))
        except (FdrError, OSError) as error:
            seal = None
            logger.warning('%s: its newest seal cannot be read: %s', root / previous, error)
    return (previous, seal.text_hash) if seal is not None else ('', '')


def _force(path: Path) -> None:
    with path.open('rb') as file:
        os.fsync(file.fileno())


def _note_newest(root: Path, flight_id: str) -> None:
    """Note that a flight which has begun is the newest sealed one of its root."""
    try:
        replace_file(root / NEWEST_NAME, [flight_id.encode(), b'\n'])
    except OSError as error:
        logger.warning('%s: not renewed: %s', root / NEWEST_NAME, error)
