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
A disk fails under the recorder: its process, over DDS, on a real small file system.

While a publisher's process publishes, the disk is filled and freed, or system calls are refused
for another reason, several times. A ground station watches `/diagnostics` and the lifecycle. The
flight ends while the disk works, or while it does not; what was not closed then is recovered by
the next configure. It needs ROS 2; `disk_full_writer` does not.
"""

from __future__ import annotations

import errno
from pathlib import Path
import random

from campaigns import Figures
from fdr_recorder.flights.recovery.recover import needs_recovery

NAME = 'disk_full'
ABOUT = 'The disk fails under the node, and works again: told once, counted, over by itself.'
DEFAULT_ROUNDS = 50
SHORT_ROUNDS = 1

REFUSED = (
    ('writev',),
    ('fdatasync',),
    ('fdatasync', 'fsync'),
    ('writev', 'fdatasync', 'fsync'),
)


def run_round(rng: random.Random, directory: Path) -> Figures:
    """Record one flight with some spells; it may end in the last one."""
    spells = rng.randint(1, 3)
    return _run_round(rng, directory, spells, ends_in_spell=rng.random() < 0.4)


def run_short_round(rng: random.Random, directory: Path) -> Figures:
    """Record one flight with two spells; it ends in the second."""
    return _run_round(rng, directory, 2, ends_in_spell=True)


def _run_round(
    rng: random.Random, directory: Path, spells: int, *, ends_in_spell: bool
) -> Figures:
    # importing it skips where there is no ROS 2, and says so
    from failing_disk_flight import failing_disk_flight, FullDisk, Refusal

    def new_fault() -> FullDisk | Refusal:
        if rng.random() < 0.6:
            return FullDisk()
        number = rng.choice((errno.EIO, errno.EDQUOT, errno.EROFS, errno.ENOSPC))
        return Refusal(number, *rng.choice(REFUSED))

    options = {
        'writer__segment_size_bytes': rng.choice((128, 256)) << 10,
        'writer__chunk_size_bytes': rng.choice((16, 64)) << 10,
        'writer__min_free_bytes': rng.choice((0, 0, 1 << 20)),
        'writer__reserve_bytes': rng.choice((0, 256 << 10)),
        'writer__compression': rng.choice(('none', 'none', 'lz4')),
    }
    with failing_disk_flight(directory, **options) as flight:
        recorder = flight.recorder
        for number in range(1, spells + 1):
            with flight.spell(new_fault()):
                flight.load(rng.choice((1, 10, 60)))
                if number == spells and ends_in_spell:
                    flight.close()
        if not ends_in_spell:
            flight.close()
        is_left_unclean = needs_recovery(recorder.flights()[-1])
        recorder.make('cleanup', 'configure')
        if is_left_unclean:
            recorder.wait_for_alert('recorder', 'unclean_flight_recovered')
        assert recorder.stop() == 0
        discarded = flight.check()
    return {
        'spells': spells,
        'closed_in_a_spell': ends_in_spell,
        'recovered': is_left_unclean,
        'messages_sent': flight.sent,
        'messages_discarded': discarded,
    }
