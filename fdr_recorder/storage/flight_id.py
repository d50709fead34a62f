# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Flight ids: a new one, and which are valid."""

from __future__ import annotations

from datetime import datetime, timezone
import secrets

from fdr_recorder.config import FLIGHT_ID_PATTERN
from fdr_recorder.errors import FlightIdInvalidError


def new_flight_id() -> str:
    """Return `flight_<UTC yyyymmddThhmmssZ>_<4 hex>`."""
    now = datetime.now(timezone.utc)
    return f'flight_{now:%Y%m%dT%H%M%SZ}_{secrets.token_hex(2)}'


def check_flight_id(flight_id: str) -> None:
    """Raise `FlightIdInvalidError` unless the id is a valid name of a flight."""
    if not isinstance(flight_id, str) or not FLIGHT_ID_PATTERN.fullmatch(flight_id):
        raise FlightIdInvalidError(flight_id)
