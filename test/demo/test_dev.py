# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`./dev`: help without an environment, refusals, and what `clean` keeps."""

from __future__ import annotations

import os
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
COMMANDS = 'demo', 'fdr', 'test', 'campaign', 'lint', 'bench', 'docs', 'clean'


def run(checkout: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [checkout / 'dev', *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def listing(checkout: Path) -> set[Path]:
    return set(checkout.rglob('*'))


@pytest.fixture(scope='module')
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout in which nothing has been set up, with what the help is made from."""
    checkout = tmp_path_factory.mktemp('fresh')
    shutil.copy(CHECKOUT / 'dev', checkout)
    for name in ('demo', 'bench', 'fdr_recorder', 'test/campaigns'):
        shutil.copytree(
            CHECKOUT / name, checkout / name, ignore=shutil.ignore_patterns('__pycache__')
        )
    return checkout


@pytest.mark.parametrize('command', COMMANDS)
def test_help_needs_no_environment_and_leaves_nothing(
    command: str, fresh: Path, tmp_path: Path
) -> None:
    # A Python without our environment: the link hides the environment's packages from it.
    (tmp_path / 'python3').symlink_to(Path(sys.executable).resolve())
    before = listing(fresh)
    done = run(fresh, command, '--help', PATH=f'{tmp_path}:/usr/bin:/bin', PYTHONPATH='')
    assert (done.returncode, done.stderr) == (0, '')
    assert done.stdout.startswith('usage: fdr' if command == 'fdr' else f'usage: ./dev {command}')
    assert 'examples:' in done.stdout or command == 'fdr'
    assert listing(fresh) == before
    assert run(fresh, 'help', command, PATH=f'{tmp_path}:/usr/bin:/bin').stdout == done.stdout


def test_help_of_a_verb(fresh: Path) -> None:
    before = listing(fresh)
    assert '--open' in run(fresh, 'fdr', 'report', '--help').stdout
    assert listing(fresh) == before


def test_help_names_every_command(fresh: Path) -> None:
    text = run(fresh).stdout
    assert run(fresh, '--help').stdout == text
    for command in COMMANDS:
        assert f'\n  {command} ' in text


@pytest.mark.parametrize(
    ('arguments', 'reason'),
    [
        (['fly'], "unknown command 'fly'"),
        (
            ['demo', '--distro', 'humble'],
            "unknown distribution 'humble'; known are kilted and jazzy",
        ),
        (['lint', '--fix'], 'lint takes no arguments: --fix'),
        (['docs', '--fast'], 'docs takes no arguments: --fast'),
        (['clean', '--all'], 'clean knows --flights alone, not: --all'),
        (['clean', '--flights', 'now'], 'clean knows --flights alone, not: now'),
    ],
)
def test_wrong_use_is_refused(arguments: list[str], reason: str, fresh: Path) -> None:
    before = listing(fresh)
    done = run(fresh, *arguments)
    assert (done.returncode, done.stdout) == (2, '')
    assert done.stderr.startswith(f'dev: {reason}\n')
    assert 'examples:' in done.stderr
    assert listing(fresh) == before


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """Return a checkout in which the other commands have been at work."""
    shutil.copy(CHECKOUT / 'dev', tmp_path)
    for name in (
        '.venv/bin/python',
        '.venv-jazzy/stamp',
        '.pytest_cache/v',
        'demo/__pycache__/fly.pyc',
        'demo/fly.py',
        'demo_flights/flight_1/segment_000000.mcap',
        'fdr_recorder.egg-info/PKG-INFO',
        'flight_1.html',
        'site/index.html',
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(5000))
    return tmp_path


def left(checkout: Path) -> set[str]:
    return {str(path.relative_to(checkout)) for path in listing(checkout) if path.is_file()}


def test_clean_keeps_flights_and_says_what_it_removes(used: Path) -> None:
    done = run(used, 'clean')
    assert done.returncode == 0
    assert left(used) == {
        'dev', 'demo/fly.py', 'demo_flights/flight_1/segment_000000.mcap', 'flight_1.html',
    }
    for name in ('.venv', '.venv-jazzy', '.pytest_cache', './fdr_recorder.egg-info', 'site'):
        assert f'K\t{name}\n' in done.stderr
    assert 'with 1 __pycache__' in done.stderr
    assert 'K\ttotal\n' in done.stderr
    assert 'of flights in demo_flights' in done.stderr
    assert 'nothing to remove' in run(used, 'clean').stderr


def test_clean_removes_flights_when_asked(used: Path) -> None:
    done = run(used, 'clean', '--flights')
    assert done.returncode == 0
    assert left(used) == {'dev', 'demo/fly.py'}
    assert 'K\tdemo_flights\n' in done.stderr
    assert 'keeping' not in done.stderr


@pytest.mark.parametrize('option', ['--help', '-h'])
def test_clean_help_removes_nothing(option: str, used: Path) -> None:
    before = listing(used)
    for arguments in ([option], ['--flights', option]):
        done = run(used, 'clean', *arguments)
        assert done.returncode == 0
        assert done.stdout.startswith('usage: ./dev clean')
    assert listing(used) == before
