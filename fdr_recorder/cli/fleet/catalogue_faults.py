# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Tells which files of the catalogue cannot be used, so that they are missing in every answer."""

from __future__ import annotations

from typing import Final, TYPE_CHECKING

from fdr_recorder.cli.console import warn
from fdr_recorder.units import plural

if TYPE_CHECKING:
    from fdr_recorder.fleet.catalogue.cache import Snapshot

_MOST_TOLD: Final = 5


def tell_faults(snapshot: Snapshot) -> None:
    """Print them on stderr."""
    faults = list(snapshot.faults.values())
    for text in faults[:_MOST_TOLD]:
        warn(f'{text}; it is left out')
    if len(faults) > _MOST_TOLD:
        warn(f'and {plural(len(faults) - _MOST_TOLD, "file")} more')
    if faults:
        warn('`fdr fleet catalogue --rebuild` makes the catalogue again')
