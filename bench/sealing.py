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
What sealing costs: the drone's load with and without it, and 200 MB/s of large records sealed.

The identity key is made for the run and lies in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
import os
from pathlib import Path
from statistics import median
import time
from typing import Any, Final

from bench import workloads
from bench.dds import in_turn, losses, RECORDER
from bench.figures import Row
from bench.programs import Program, Recorder
from bench.trial import memory_directory, run, Trial
from bench.workloads import Workload
from fdr_recorder import Channel, FdrConfig, FdrWriterConfig, record_flight, Schema
from fdr_recorder.config import SealConfig
from fdr_recorder.seal.sidecars import newest_seal

_SCHEMA: Final = Schema('std_msgs/msg/String', 'string data\n')
_RECORD_BYTES: Final = 1_000_000
_ASKED: Final = 205
"""Records a second, for 200 MB/s: waking up takes a sender some of its time."""
_CAP_BYTES: Final = 1 << 30
_ABSENT: Final = 'there is no `cryptography` on this machine'


@contextmanager
def _identity_key() -> Iterator[Path | None]:
    """Make an identity key for the time of a row; yield None if there is nothing to seal with."""
    try:
        from fdr_recorder.seal.key_files import make_key_file  # noqa: PLC0415 - needs an extra
    except ImportError:
        yield None
        return
    with memory_directory() as directory:
        make_key_file(directory / 'identity')
        yield directory / 'identity'


def sealed(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Processor time of the drone's load with sealing, over that without."""
    workload = workloads.drone()
    what = f'CPU time, {workload.name}, sealed'
    with _identity_key() as key:
        if key is None:
            return [Row('sealed', what, 'not sealed', note=_ABSENT)]
        program = Recorder({'seal.key_file': str(key)}, name='sealed recorder')
        trials = in_turn((program, RECORDER), rounds, partial(_run, workload, seconds))
    ours, plain = trials.by_program[program.name], trials.by_program[RECORDER.name]
    with_it, without = (
        f'{100 * median(trial.cpu_s / seconds for trial in made):.1f} %' for made in (ours, plain)
    )
    note = f'{with_it} of a core sealed, {without} not sealed'
    return [
        Row(
            'sealed',
            what,
            'not sealed',
            [a.cpu_us / b.cpu_us for a, b in zip(ours, plain, strict=True)],
            at_most=1.1,
            note='; '.join(filter(None, (note, losses(trials)))),
            samples=trials.samples(),
        ),
        Row(
            'sealed',
            f'recorded of sent, {workload.name}, sealed',
            'the load',
            [trial.received / trial.sent for trial in ours],
            at_least=1,
        ),
    ]


def _run(workload: Workload, seconds: float, program: Program) -> Trial:
    return run(program, workload, seconds)


def sealed_rate(rounds: int, *, quick: bool) -> list[Row]:
    """Seal 200 MB/s of large records, through the recorder's own rings and threads."""
    what = '1 MB records, sealed: speed'
    with _identity_key() as key:
        if key is None:
            return [Row('sealed-rate', what, note=_ABSENT)]
        made = [_paced(key, 2.0 if quick else 10.0) for _ in range(rounds)]
    lost = sum(one['sent'] - one['recorded'] for one in made)
    return [
        Row(
            'sealed-rate',
            what,
            '',
            [one['mb_per_s'] for one in made],
            at_least=200,
            unit='MB/s',
            note=f'{lost} of {sum(one["sent"] for one in made)} records lost, '
            f'{median(one["seals"] for one in made):.0f} seals',
            samples={'trials': made},
        ),
        Row(
            'sealed-rate',
            'recorded of sent, 1 MB records, sealed',
            'the load',
            [one['recorded'] / one['sent'] for one in made],
            at_least=1,
        ),
    ]


def _paced(key: Path, seconds: float) -> dict[str, Any]:
    """Record for some seconds; return what was sent, and what was recorded of it meanwhile."""
    records = [os.urandom(_RECORD_BYTES) for _ in range(16)]
    with memory_directory() as directory:
        config = FdrConfig(
            flight_root=str(directory),
            flight_id='bench',
            writer=FdrWriterConfig(
                flight_cap_bytes=_CAP_BYTES, seal=SealConfig(key_file=str(key))
            ),
        )
        with record_flight(config) as flight:
            client = flight.client(Channel('/bench/large', _SCHEMA))
            sent, start = 0, time.perf_counter()
            while (passed := time.perf_counter() - start) < seconds:
                if passed * _ASKED < sent:
                    time.sleep(sent / _ASKED - passed)
                client.enqueue(records[sent % len(records)])
                sent += 1
        assert flight.summary is not None
        footer = flight.summary.footer
        recorded = sum(item.written for item in footer.producers if item.topic == '/bench/large')
        newest = newest_seal(directory / 'bench')
        assert newest is not None
        return {
            'sent': sent,
            'recorded': recorded,
            'mb_per_s': recorded * _RECORD_BYTES / passed / 1e6,
            'seals': newest.number + 1,
        }
