# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""A few rounds of every campaign; `./dev campaign NAME` runs as many as there is time for."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import sys

from campaigns import Campaign, campaigns, chance, short_round
import pytest
from waiting import wait_until

SEED = 1
RUNNER = Path(__file__).parent
SLOW = {'clock', 'fuzz', 'ground', 'hang_drone', 'syscalls', 'tamper', 'torn'}


@pytest.mark.parametrize(
    'campaign',
    [
        pytest.param(item, id=name, marks=pytest.mark.slow if name in SLOW else ())
        for name, item in campaigns().items()
    ],
)
def test_a_short_campaign(campaign: Campaign, tmp_path: Path) -> None:
    for number in range(campaign.SHORT_ROUNDS):
        directory = tmp_path / f'round_{number}'
        directory.mkdir()
        try:
            short_round(campaign)(chance(SEED, number), directory)
        except Exception as error:
            again = f'{campaign.NAME} --short --seed {SEED} --only {number}'
            message = f'again: ./dev campaign {again}'
            raise AssertionError(message) from error


def test_a_round_does_not_depend_on_other_rounds() -> None:
    assert chance(3, 7).random() == chance(3, 7).random()
    assert len({chance(seed, number).random() for seed in range(5) for number in range(5)}) == 25


# --- the runner --------------------------------------------------------------------------------

GOOD = """
from __future__ import annotations

NAME, ABOUT, DEFAULT_ROUNDS, SHORT_ROUNDS = 'good', 'Does nothing.', 3, 1


def run_round(rng, directory):
    assert not list(directory.iterdir())
    return {'figure': rng.randrange(1000)}
"""
BAD = """
from __future__ import annotations

NAME, ABOUT, DEFAULT_ROUNDS, SHORT_ROUNDS = 'bad', 'Breaks.', 4, 1


def run_round(rng, directory):
    (directory / 'evidence').touch()
    assert directory.name != 'round_2', 'the promise is broken'
    return {}
"""
SKIPPED = """
from __future__ import annotations

import pytest

NAME, ABOUT, DEFAULT_ROUNDS, SHORT_ROUNDS = 'skipped', 'Cannot be done here.', 4, 1


def run_round(rng, directory):
    pytest.skip('no such machine')
"""


ENDLESS = """
from __future__ import annotations

import time

NAME, ABOUT, DEFAULT_ROUNDS, SHORT_ROUNDS = 'endless', 'Goes on.', 4, 1


def run_round(rng, directory):
    (directory / 'begun').touch()
    try:
        time.sleep(60)
    finally:
        (directory / 'ended').touch()
    return {}
"""


@pytest.fixture
def runner(tmp_path: Path) -> Path:
    """Return the runner with campaigns of the test's own."""
    directory = tmp_path / 'test' / 'campaigns'
    directory.mkdir(parents=True)
    for name in ('__init__.py', '__main__.py'):
        (directory / name).write_text((RUNNER / name).read_text())
    for name, text in (('good', GOOD), ('bad', BAD), ('skipped', SKIPPED)):
        (directory / f'{name}.py').write_text(text)
    return directory


def run(runner: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(runner), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, 'TMPDIR': str(runner.parent)},
    )


def test_the_runner_finds_every_campaign(runner: Path) -> None:
    listed = run(runner, 'list').stdout
    assert [line.split()[0] for line in listed.splitlines()] == ['bad', 'good', 'skipped']


def test_the_runner_sums_up_and_repeats_by_seed(runner: Path) -> None:
    first, again = (run(runner, 'good', '--rounds', '5', '--seed', '9') for _ in range(2))
    assert first.returncode == 0
    assert '5/5' in first.stderr
    figures = [line for line in first.stdout.splitlines() if line.startswith('figure')]
    assert len(figures) == 1
    assert figures[0] in again.stdout


def test_a_failing_round_is_kept_and_can_be_run_alone(runner: Path) -> None:
    done = run(runner, 'bad', '--seed', '5')
    assert done.returncode == 1
    assert '--seed 5 --only 2' in done.stderr
    assert 'the promise is broken' in done.stderr
    [line] = [line for line in done.stderr.splitlines() if 'it left' in line]
    left = Path(line.rpartition(' ')[2])
    assert (left / 'evidence').exists()
    assert [path.name for path in left.parent.iterdir()] == ['round_2']
    alone = run(runner, 'bad', '--seed', '5', '--only', '2')
    assert alone.returncode == 1
    assert run(runner, 'bad', '--seed', '5', '--only', '1').returncode == 0


def test_a_campaign_that_is_ended_gives_its_results(runner: Path) -> None:
    (runner / 'endless.py').write_text(ENDLESS)
    process = subprocess.Popen(
        [sys.executable, str(runner), 'endless'],
        stdout=subprocess.PIPE,
        env={**os.environ, 'TMPDIR': str(runner.parent)},
        text=True,
    )
    wait_until(lambda: list(runner.parent.glob('*/round_0/begun')), 'the first round')
    process.terminate()
    output, _ = process.communicate(timeout=20)
    assert 'endless' in output
    assert list(runner.parent.glob('*/round_0/ended'))


def test_a_campaign_that_cannot_run_here_says_why(runner: Path) -> None:
    done = run(runner, 'skipped')
    assert done.returncode == 0
    assert 'no such machine' in done.stdout


def test_the_summary_is_also_json(runner: Path) -> None:
    outcomes = json.loads(run(runner, 'all', '--json', '--seed', '1').stdout)
    by_name = {outcome['name']: outcome for outcome in outcomes}
    assert len(by_name['bad']['failures']) == 1
    assert set(by_name['good']['figures']['figure']) == {'sum', 'min', 'median', 'max'}
    assert by_name['skipped']['skipped'] == 'no such machine'


def test_a_wrong_command_line_is_refused(runner: Path) -> None:
    for arguments in (['nothing'], ['good', '--rounds', '0'], []):
        done = run(runner, *arguments)
        assert done.returncode == 2
        assert 'usage' in done.stderr
