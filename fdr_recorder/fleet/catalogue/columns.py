# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The tables of the catalogue and their columns; docs/fleet.md says what each means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

CATALOGUE_VERSION: Final = '1.0'


class Kind(Enum):
    """What is in a column; the value is its type in SQL."""

    TEXT = 'VARCHAR'
    COUNT = 'BIGINT'
    NUMBER = 'DOUBLE'
    TIME = 'TIMESTAMP'
    """UTC, to the microsecond; in a receipt an integer: microseconds since 1970."""
    FLAG = 'BOOLEAN'
    TEXTS = 'VARCHAR[]'
    COUNTS = 'BIGINT[]'
    MAP = 'MAP(VARCHAR, VARCHAR)'


@dataclass(frozen=True)
class Table:
    """
    A table of the catalogue.

    Attributes:
        name: Its name.
        columns: What is in each column, by name, those of the receipt alone.

    """

    name: str
    columns: Mapping[str, Kind]

    @property
    def all_columns(self) -> dict[str, Kind]:
        """Return the columns that a user sees: the flight comes first."""
        return {'vehicle': Kind.TEXT, 'flight': Kind.TEXT, **self.columns}


def _columns(**kinds: str) -> dict[str, Kind]:
    """Return columns, given their names by kind, in the order given."""
    named = {kind.name.lower(): kind for kind in Kind}
    found = {}
    for place, names in kinds.items():
        for name in names.split():
            found[name] = named[place.partition('_')[0]]
    return found


FLIGHTS: Final = Table(
    'flights',
    _columns(
        text_1='flight_id',
        count_1='flight_number',
        time_1='started ended',
        text_2='how_ended',
        number_1='duration_s',
        count_2='bytes records messages topics segments segments_dropped',
        text_3='verdict integrity completeness authenticity sentence',
        count_3='lost lost_transport lost_overrun lost_write_error lost_before_match '
        'lost_unexplained dropped_capacity dropped_removed unreadable_bytes left_out',
        text_4='recorder firmware',
        map_1='metadata',
        text_5='ros_distro rmw host',
        number_2='takeoff_lat takeoff_lon takeoff_alt landing_lat landing_lon landing_alt',
        text_6='sealed_by previous_flight',
        texts_1='removed_flights',
        counts_1='removed_numbers',
        text_7='upload manifest',
        time_2='stored_at received_at',
        flag_1='signed',
    ),
)
TOPICS: Final = Table(
    'topics',
    _columns(
        text_1='topic type outcome',
        count_1='messages bytes',
        number_1='rate_hz',
        time_1='first last',
        number_2='gap_s',
        time_2='gap_at',
        number_3='silence_s',
        time_3='silence_at',
        count_2='publishers offered lost lost_transport lost_overrun lost_write_error '
        'lost_before_match left_out',
        text_2='why_unseen',
    ),
)
LOSSES: Final = Table(
    'losses',
    _columns(
        text_1='topic publisher cause',
        count_1='records bytes times',
        time_1='first last',
    ),
)
ALERTS: Final = Table(
    'alerts',
    _columns(
        text_1='code level subject message',
        time_1='raised cleared',
        count_1='times',
    ),
)
PLACES: Final = Table(
    'places',
    _columns(text_1='topic', time_1='time', number_1='lat lon alt'),
)

TABLES: Final = {table.name: table for table in (FLIGHTS, TOPICS, LOSSES, ALERTS, PLACES)}
"""By name; `flights` is what a batch is known by, so it is written last."""

BATCH: Final = 'batch'
"""A column that each table has in its files: which batch the row is of."""

ETAG: Final = 'etag'
"""A column of the files of `flights`: by what the store knew the manifest."""

Rows = dict[str, dict[str, list[Any]]]
"""Rows of one flight: by table and column. Those of `flights` have one element."""


def empty_rows() -> Rows:
    """Return tables without rows, with all their columns but vehicle and flight."""
    return {
        name: {column: [] for column in table.columns} for name, table in TABLES.items()
    }
