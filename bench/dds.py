# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Rows over DDS: messages from other processes, received by the recorder's node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from statistics import median
from typing import Any, Final

from bench import workloads
from bench.figures import Row
from bench.programs import Program, Recorder, Rival, Rosbag2
from bench.trial import run, Sample, SETTLE_S, Trial
from bench.workloads import Workload

RECORDER: Final = Recorder()
COUNTING: Final = Rival('counting')
SIMPLE: Final = Rival('simple')
PLAIN: Final = Rival('plain')
ROSBAG2: Final = Rosbag2()

_ABSENT: Final = 'there is no `ros2 bag record` on this machine'
_STEP: Final = 1.25
_SOAK_CAP_BYTES: Final = 1 << 31
_KEPT_UP: Final = 0.97
"""Share of the asked rate below which the load is at its own limit."""
_START_RATE: Final[Mapping[str, float]] = {'plain': 2_000}
_USUAL_START_RATE: Final = 16_000


@dataclass
class Trials:
    """The trials of some programs, round by round and in turn."""

    by_program: dict[str, list[Trial]] = field(default_factory=dict)

    def ratios(self, other: str, value: Callable[[Trial], float]) -> list[float]:
        """Return the recorder's value over another program's, for each round."""
        pairs = zip(self.by_program['recorder'], self.by_program[other], strict=True)
        return [value(mine) / value(theirs) for mine, theirs in pairs]

    def samples(self) -> dict[str, Any]:
        """Return what the JSON file says of them."""
        return {
            name: [trial.facts() for trial in trials] for name, trials in self.by_program.items()
        }


@cache
def _rosbag2() -> tuple[Program, ...]:
    return (ROSBAG2,) if Rosbag2.is_installed() else ()


def in_turn(
    programs: Sequence[Program], rounds: int, trial: Callable[[Program], Trial]
) -> Trials:
    """Make trials of all programs, round by round; who is first alternates."""
    trials = Trials({program.name: [] for program in programs})
    for number in range(rounds):
        for program in programs if number % 2 == 0 else reversed(programs):
            trials.by_program[program.name].append(trial(program))
    return trials


def _run(workload: Workload, seconds: float, program: Program) -> Trial:
    return run(program, workload, seconds)


def losses(trials: Trials) -> str:
    """Say which program lost how much; empty if none did."""
    lost = {
        name: sum(trial.sent - trial.received for trial in made)
        for name, made in trials.by_program.items()
    }
    text = ', '.join(f'{name} {count:,}' for name, count in lost.items() if count)
    return f'lost: {text}' if text else ''


def _microseconds(trials: Trials) -> str:
    """Format the processor time per message."""
    return ', '.join(
        f'{name} {median(trial.cpu_us for trial in made):.1f} µs'
        for name, made in trials.by_program.items()
    )


def cpu(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Processor time per message at three rates."""
    rows = []
    at_most = {1_000: 0.7, 5_000: 0.8, 20_000: 0.9}
    for rate in (5_000,) if quick else at_most:
        workload = workloads.small(rate)
        programs: list[Program] = [RECORDER, COUNTING, SIMPLE, *_rosbag2()]
        trials = in_turn(programs, rounds, partial(_run, workload, seconds))
        what = f'CPU time per message, 256 B, {rate:,}/s'
        note = '; '.join(filter(None, (_microseconds(trials), losses(trials))))
        ratios = trials.ratios('counting', lambda trial: trial.cpu_us)
        name = f'cpu-{rate}'
        rows.append(
            Row(name, what, 'counting loop', ratios, note=note, samples=trials.samples())
        )
        ratios = trials.ratios(SIMPLE.name, lambda trial: trial.cpu_us)
        rows.append(
            Row(name, what, 'counting loop that waits each time', ratios, at_most=at_most[rate])
        )
        rows.append(_against_rosbag2(name, what, trials, lambda trial: trial.cpu_us, at_most=0.5))
    return rows


def rate(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Highest lossless rate: it rises by a quarter until a message is lost."""
    programs: list[Program] = [RECORDER, COUNTING, PLAIN, *_rosbag2()]
    limits: list[str] = []

    def climb(program: Program) -> Trial:
        best = None
        asked = _START_RATE.get(program.name, _USUAL_START_RATE)
        while True:
            trial = run(program, workloads.small(asked), seconds, SETTLE_S)
            if not trial.is_lossless:  # once more: the machine may have been busy
                trial = run(program, workloads.small(asked), seconds, SETTLE_S)
            if trial.is_lossless and (best is None or trial.rate > best.rate):
                best = trial
            if not trial.is_lossless and best is not None:
                return best
            if trial.rate < _KEPT_UP * asked and best is not None:
                limits.append(program.name)
                return best
            asked *= _STEP if best is not None else 0.5

    trials = in_turn(programs, rounds, climb)
    reached = ', '.join(
        f'{name} {median(trial.rate for trial in made):,.0f}/s'
        for name, made in trials.by_program.items()
    )
    note = f'{reached}; {_microseconds(trials)}'
    if limits:
        note += '; ended by the load, which could send no faster beside it: '
        counts = {name: limits.count(name) for name in sorted(limits)}
        note += ', '.join(f'{name} {count} of {rounds}' for name, count in counts.items())
    what = 'highest lossless rate, 256 B, 10 topics'

    def by_rate(trial: Trial) -> float:
        return trial.rate

    return [
        Row('rate', what, 'counting loop', trials.ratios('counting', by_rate), note=note,
            samples=trials.samples()),
        Row('rate', what, 'plain recorder', trials.ratios('plain', by_rate), at_least=4),
        _against_rosbag2('rate', what, trials, by_rate, at_least=1),
    ]


def _alone(
    name: str, workload: Workload, rounds: int, seconds: float, program: Program = RECORDER
) -> tuple[Row, list[Trial]]:
    """Measure the recorder alone: how much it receives, and at what cost."""
    trials = in_turn((program,), rounds, partial(_run, workload, seconds))
    return _kept(name, workload, seconds, trials), trials.by_program[program.name]


def _beside_rosbag2(
    name: str, workload: Workload, rounds: int, seconds: float, at_most: float = 1.0
) -> tuple[list[Row], Trials]:
    """Measure the recorder, and `ros2 bag record` in turn with it, if there is one."""
    trials = in_turn((RECORDER, *_rosbag2()), rounds, partial(_run, workload, seconds))
    what = f'CPU time, {workload.name}'
    rows = [
        _kept(name, workload, seconds, trials),
        _against_rosbag2(name, what, trials, lambda trial: trial.cpu_us, at_most=at_most),
    ]
    return rows, trials


def _kept(name: str, workload: Workload, seconds: float, trials: Trials) -> Row:
    """Return how much of a load the recorder kept, and a note on each program's losses."""
    made = trials.by_program[RECORDER.name]
    share = ', '.join(
        f'{program} {100 * median(trial.cpu_s / seconds for trial in others):.1f} % of a core and '
        f'at most {max(trial.max_rss_mib for trial in others):.0f} MiB'
        for program, others in trials.by_program.items()
    )
    note = (
        f'{median(trial.rate for trial in made):,.0f} messages/s, '
        f'{workload.bytes_rate / 1e6:.1f} MB/s, '
        f'{median(trial.bytes for trial in made) / seconds / 1e6:.1f} MB/s kept on disk, {share}'
    )
    return Row(
        name,
        f'recorded of sent, {workload.name}',
        'the load',
        [trial.received / trial.sent for trial in made],
        at_least=1,
        note='; '.join(filter(None, (note, losses(trials)))),
        samples=trials.samples(),
    )


def _against_rosbag2(
    name: str,
    what: str,
    trials: Trials,
    value: Callable[[Trial], float],
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Row:
    """Compare with `ros2 bag record`, or say that there is none."""
    is_there = ROSBAG2.name in trials.by_program
    return Row(
        name,
        what,
        'ros2 bag record',
        trials.ratios(ROSBAG2.name, value) if is_there else (),
        at_least=at_least,
        at_most=at_most,
        note='' if is_there else _ABSENT,
    )


def drone(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Thirty topics of a drone."""
    return _beside_rosbag2('drone', workloads.drone(), rounds, seconds, 0.5)[0]


def mixed(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Small messages and 5 MB blobs together."""
    return _beside_rosbag2('mixed', workloads.mixed(), rounds, seconds, 0.85)[0]


def large(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Processor time of 100 KB messages at 300/s, and of 1 MB messages at 50/s."""
    return [
        row
        for name, size, rate in (('large-100k', 100_000, 300), ('large-1m', 1_000_000, 50))
        for row in _beside_rosbag2(name, workloads.large(rate, size), rounds, seconds)[0]
    ]


def many(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Five hundred topics against ten, at the same rate."""
    total = 5_000
    few_row, few = _alone('many', workloads.small(total), rounds, seconds)
    rows, trials = _beside_rosbag2('many', workloads.many(total), rounds, seconds)
    many = trials.by_program[RECORDER.name]
    return [
        Row(
            'many',
            f'CPU time per message, 256 B, {total:,}/s, 500 topics',
            'the same over 10 topics',
            [a.cpu_us / b.cpu_us for a, b in zip(many, few, strict=True)],
            at_most=1.5,
            note=f'{median(t.cpu_us for t in many):.1f} µs against '
            f'{median(t.cpu_us for t in few):.1f} µs',
            samples={'few': few_row.samples},
        ),
        *rows,
    ]


def compression(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Record the drone again, compressed."""
    rows = []
    for name in ('none', 'lz4', 'zstd'):
        program = Recorder({'writer.compression': name})
        row, _ = _alone('compression', workloads.drone(), rounds, seconds, program)
        rows.append(
            Row('compression', f'recorded of sent, drone, {name}', 'the load', row.values,
                at_least=1, note=f'{name}: {row.note}', samples=row.samples)
        )
    return rows


def memory(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """Memory at 20,000 messages a second, that of the rings included."""
    row, made = _alone('memory', workloads.small(20_000), 1, seconds)
    return [*_memory_rows('memory', made), row]


def soak(rounds: int, seconds: float, *, quick: bool) -> list[Row]:
    """
    Record the drone for long: nothing lost, memory and processor time flat.

    With a cap, as on a vehicle. Without, a virtual machine that gets its memory from the host when
    it is first touched spends eight times as long on each page of a file, from some GB on.
    """
    program = Recorder({'writer.flight_cap_bytes': _SOAK_CAP_BYTES})
    row, made = _alone('soak', workloads.drone(), 1, seconds, program)
    return [row, *_memory_rows('soak', made)]


def _memory_rows(name: str, made: Sequence[Trial]) -> list[Row]:
    (trial,) = made
    count = len(trial.samples)
    early, late = trial.samples[count // 5:2 * count // 5], trial.samples[4 * count // 5:]

    def mib(samples: Sequence[Sample]) -> float:
        return median(sample.rss_mib for sample in samples)

    def share(samples: Sequence[Sample]) -> float:
        first, last = samples[0], samples[-1]
        return (last.cpu_s - first.cpu_s) / (last.load_cpu_s - first.load_cpu_s)

    series = [
        {name: round(value, 3) for name, value in asdict(sample).items()}
        for sample in trial.samples[:: max(1, count // 60)]
    ]
    return [
        Row(name, 'highest memory, rings included', '', [trial.max_rss_mib], at_most=150,
            unit='MiB', samples={'over_time': series}),
        Row(name, 'memory, last fifth of the time over second', 'itself',
            [mib(late) / mib(early)], at_most=1.05),
        Row(name, 'CPU time over that of the load, last fifth of the time over second', 'itself',
            [share(late) / share(early)], at_most=1.1),
    ]
