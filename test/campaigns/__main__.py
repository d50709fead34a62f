# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""Runs campaigns from the command line: progress, a summary table, the failing rounds."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
import json
from pathlib import Path
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
import traceback
from typing import TextIO

# Run as a directory: its parent has the helpers of all tests, and this package under its name.
# (`test` itself is no package: Python has one of that name.) The loads are in `bench`.
sys.path[:1] = [str(Path(__file__).resolve().parents[1] / room) for room in ('', 'support', '..')]

from campaigns import Campaign, campaigns, chance, short_round  # noqa: E402

ROUND_DEADLINE_S = 1200
"""A round that takes longer hangs; the longest takes one minute on a machine that is not busy."""

EXAMPLES = """\
examples:
  ./dev campaign list
  ./dev campaign kill --rounds 200
  ./dev campaign all --rounds 20 --json > campaigns.json
  ./dev campaign kill --seed 8123 --only 17 --keep

Rounds work below $TMPDIR: choose the file system to test with it.
"""


@dataclass
class Failure:
    """A round that broke a promise, and how to do it again."""

    round: int
    seed: int
    directory: str
    traceback: str


@dataclass
class Outcome:
    """What came out of one campaign."""

    name: str
    seed: int
    rounds: int = 0
    seconds: float = 0.0
    failures: list[Failure] = field(default_factory=list)
    figures: dict[str, list[float]] = field(default_factory=dict)
    skipped: str = ''

    def to_dict(self) -> dict[str, object]:
        """Return it for `json.dumps`, with the figures summed up."""
        figures = {name: summed_up(values) for name, values in self.figures.items()}
        return {**asdict(self), 'figures': figures}


def summed_up(values: list[float]) -> dict[str, float]:
    """Return sum, minimum, median and maximum."""
    return {
        'sum': sum(values),
        'min': min(values),
        'median': statistics.median(values),
        'max': max(values),
    }


class Progress:
    """A bar on a terminal, a line now and then elsewhere."""

    WIDTH = 24
    LINE_INTERVAL_S = 15.0

    def __init__(self, name: str, rounds: int, stream: TextIO) -> None:
        """Begin at zero."""
        self._name, self._rounds, self._stream = name, rounds, stream
        self._is_terminal = stream.isatty()
        self._started_at = self._told_at = time.monotonic()

    def tell(self, done: int, failures: int) -> None:
        """Show how far it is."""
        now = time.monotonic()
        is_last = done == self._rounds
        if not self._is_terminal and not is_last and now - self._told_at < self.LINE_INTERVAL_S:
            return
        self._told_at = now
        elapsed = now - self._started_at
        left = f', {elapsed / done * (self._rounds - done):.0f} s left' if done else ''
        filled = self.WIDTH * done // self._rounds
        bar = f'[{"#" * filled}{"." * (self.WIDTH - filled)}] ' if self._is_terminal else ''
        text = f'{self._name}  {bar}{done}/{self._rounds}  {failures} failed  {elapsed:.0f} s'
        text += left
        before, after = ('\r', '\033[K') if self._is_terminal else ('', '\n')
        self._stream.write(before + text + after + ('\n' if self._is_terminal and is_last else ''))
        self._stream.flush()


def run(
    campaign: Campaign,
    numbers: list[int],
    seed: int,
    *,
    keep: bool,
    short: bool,
    stream: TextIO,
) -> Outcome:
    """Run rounds of one campaign, one after the other."""
    outcome = Outcome(campaign.NAME, seed)
    started_at = time.monotonic()
    base = Path(tempfile.mkdtemp(prefix=f'fdr_{campaign.NAME}_'))
    progress = Progress(campaign.NAME, len(numbers), stream)
    progress.tell(0, 0)
    try:
        for number in numbers:
            directory = base / f'round_{number}'
            directory.mkdir()
            run_one(
                campaign, outcome, number, directory, keep=keep, short=short, stream=stream
            )
            if outcome.skipped:
                break
            progress.tell(outcome.rounds, len(outcome.failures))
    except KeyboardInterrupt:
        print(f'\ninterrupted after {outcome.rounds} rounds', file=stream)
    outcome.seconds = time.monotonic() - started_at
    if not any(base.iterdir()):
        base.rmdir()
    return outcome


def run_one(
    campaign: Campaign,
    outcome: Outcome,
    number: int,
    directory: Path,
    *,
    keep: bool,
    short: bool,
    stream: TextIO,
) -> None:
    """Run one round and note what came out."""
    import pytest  # here, so that --help works before anything is installed

    run_round = short_round(campaign) if short else campaign.run_round
    try:
        with deadline(ROUND_DEADLINE_S):
            figures = run_round(chance(outcome.seed, number), directory)
    except pytest.skip.Exception as error:
        outcome.skipped = str(error)
    except Exception as error:
        text = traceback.format_exc()
        outcome.failures.append(Failure(number, outcome.seed, str(directory), text))
        keep = True
        first_line = f'{type(error).__name__}: {error}'.splitlines()[0]
        print(f'{campaign.NAME}, round {number}: {first_line}', file=stream)
    else:
        for name, value in figures.items():
            outcome.figures.setdefault(name, []).append(value)
    outcome.rounds += 1
    if not keep:
        shutil.rmtree(directory)


@contextmanager
def deadline(seconds: int) -> Iterator[None]:
    """Fail what takes longer; a program that hangs has broken its promise, too."""

    def expire(_number: int, _frame: object) -> None:
        message = f'not finished after {seconds} s'
        raise TimeoutError(message)

    former = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, former)


def table(outcomes: list[Outcome]) -> str:
    """Return the summary."""
    lines = [f'{"campaign":<12} {"rounds":>7} {"failed":>7} {"seconds":>8}   seed']
    for outcome in outcomes:
        skipped = f'   skipped: {outcome.skipped}' if outcome.skipped else ''
        lines.append(
            f'{outcome.name:<12} {outcome.rounds:>7} {len(outcome.failures):>7} '
            f'{outcome.seconds:>8.1f}   {outcome.seed}{skipped}'
        )
    for outcome in outcomes:
        if not outcome.figures:
            continue
        width = max(map(len, outcome.figures))
        head = ''.join(f'{name:>14}' for name in ('sum', 'min', 'median', 'max'))
        lines += ['', f'{outcome.name + ":":<{width}}{head}']
        for name, values in outcome.figures.items():
            numbers = ''.join(f'{_number(value):>14}' for value in summed_up(values).values())
            lines.append(f'{name:<{width}}{numbers}')
    return '\n'.join(lines)


def _number(value: float) -> str:
    return f'{value:,.3f}' if isinstance(value, float) and value % 1 else f'{value:,.0f}'


def failing_rounds(outcomes: list[Outcome]) -> str:
    """Return the tracebacks, and how to do each round again."""
    return '\n'.join(
        f'--- {outcome.name}, round {failure.round}; it left {failure.directory}\n'
        f'--- again: ./dev campaign {outcome.name} --seed {failure.seed} '
        f'--only {failure.round}\n{failure.traceback}'
        for outcome in outcomes
        for failure in outcome.failures
    )


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog='./dev campaign',
        description='Breaks things at random, many times over, and checks what must survive.',
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('name', help='a campaign, "all" for one after the other, or "list"')
    parser.add_argument('--rounds', type=int, help='how many rounds (default: its own number)')
    parser.add_argument('--seed', type=int, help='repeat a run (default: a new one)')
    parser.add_argument('--only', type=int, metavar='ROUND', help='one round of a run, by number')
    parser.add_argument('--keep', action='store_true', help='keep the directories of all rounds')
    parser.add_argument('--short', action='store_true', help='the rounds of ./dev test')
    parser.add_argument('--json', action='store_true', help='print the summary as JSON')
    parsed = parser.parse_args(arguments)
    known = campaigns()
    if parsed.name not in (*known, 'all', 'list'):
        parser.error(f'unknown campaign {parsed.name!r}; known are {", ".join(known)}')
    if parsed.rounds is not None and parsed.rounds < 1:
        parser.error('--rounds must be at least 1')
    return parsed


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; return the exit code."""
    parsed = parse(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):  # no process of a round may be left behind
        signal.signal(number, signal.default_int_handler)
    known = campaigns()
    if parsed.name == 'list':
        for campaign in known.values():
            print(f'{campaign.NAME:<10} {campaign.ABOUT} ({campaign.DEFAULT_ROUNDS} rounds)')
        return 0
    chosen = list(known.values()) if parsed.name == 'all' else [known[parsed.name]]
    seed = parsed.seed if parsed.seed is not None else random.SystemRandom().randrange(1_000_000)
    outcomes = []
    for campaign in chosen:
        usual = campaign.SHORT_ROUNDS if parsed.short else campaign.DEFAULT_ROUNDS
        numbers = list(range(parsed.rounds or usual))
        if parsed.only is not None:
            numbers = [parsed.only]
        outcomes.append(
            run(
                campaign,
                numbers,
                seed,
                keep=parsed.keep,
                short=parsed.short,
                stream=sys.stderr,
            )
        )
    if parsed.json:
        print(json.dumps([outcome.to_dict() for outcome in outcomes], indent=2))
    else:
        print(table(outcomes))
    failed = failing_rounds(outcomes)
    if failed:
        print(failed, file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
