# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr` as a process: pipes, signals, the shell, and a machine without ROS."""

from __future__ import annotations

import ast
from collections.abc import Iterator
import importlib.util
import json
import os
from pathlib import Path
import signal
import subprocess
import sys

from conftest import Record
from early_signal import signal_at_import
from fdr_recorder.cli.main import VERBS
from fdr_verbs import COMMANDS
import pytest
from waiting import wait_until
from without_ros import hide_ros

FDR = (sys.executable, '-m', 'fdr_recorder.cli')
DEADLINE_S = 30.0
INTERRUPTED = (130, -signal.SIGINT)
"""A shell shows 130 for both. Python ends itself by the signal if that came within an `exec`."""
SLOW_TO_IMPORT = {'lz4', 'numpy', 'rclpy', 'rich', 'rosbags', 'yaml'} | {
    'boto3', 'botocore', 'distributed', 'duckdb', 'obstore', 'pyarrow',
}

TELL_WHAT_WAS_IMPORTED = """
import sys
from fdr_recorder.cli.main import main
try:
    code = main(sys.argv[1:])
except SystemExit as end:
    code = end.code
print('imported', *sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)
sys.exit(code)
"""

WITHOUT_ROS = f"""
{hide_ros('mcap', 'pyulog')}
from contextlib import redirect_stdout
import io
import json
from fdr_recorder.cli.main import main
for words in json.loads(sys.argv[1]):
    with redirect_stdout(io.StringIO()) as said:
        code = main(words)
    print(json.dumps([code, said.getvalue()]))
"""
"""Runs command lines one after the other; tells the exit code and the output of each."""


def run(
    *arguments: object, program: tuple[str, ...] = FDR, **environment: str
) -> tuple[int, str, str]:
    done = subprocess.run(
        [*program, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        timeout=DEADLINE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


# --- pipes and signals -------------------------------------------------------------------------


@pytest.mark.parametrize(
    'module', ['fdr_recorder.cli.main', 'argparse', 'fdr_recorder.cli.verify', 'yaml']
)
@pytest.mark.parametrize('verb', [['ls'], ['--help']])
def test_an_interrupt_while_it_is_loaded_ends_it_quietly(
    tmp_path: Path, module: str, verb: list[str]
) -> None:
    if module == 'yaml':  # which only some verbs need, while they run
        verb = ['check', '--config', str(tmp_path / 'x.yaml')]
        (tmp_path / 'x.yaml').touch()
    done = signal_at_import([*FDR, *verb], module, signal.SIGINT, tmp_path)
    assert done == (130, '')


def test_a_reader_that_leaves_ends_it_quietly(record_flight: Record) -> None:
    flight = record_flight(close=True, count=2000)
    with subprocess.Popen(
        [*FDR, 'cat', str(flight)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert json.loads(process.stdout.readline())
        process.stdout.close()
        assert process.wait(DEADLINE_S) == 141
        assert process.stderr.read() == b''


def test_a_reader_that_was_never_there(record_flight: Record) -> None:
    flight = record_flight(close=True)
    reading, writing = os.pipe()
    os.close(reading)
    with subprocess.Popen([*FDR, 'ls', str(flight.parent)], stdout=writing, stderr=-1) as process:
        os.close(writing)
        assert process.stderr is not None
        assert process.stderr.read() == b''
    assert process.returncode == 141


@pytest.fixture
def heeded_sigint() -> Iterator[None]:
    """Have processes heed SIGINT also where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures('heeded_sigint')
def test_control_c_ends_it_quietly(record_flight: Record) -> None:
    flight = record_flight(close=True, count=2000)
    with subprocess.Popen(
        [*FDR, 'cat', str(flight)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()  # it is at work, and will wait for its output to be read
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) in INTERRUPTED
        assert process.stderr.read() == b''


def test_an_interrupted_export_leaves_nothing(record_flight: Record, tmp_path: Path) -> None:
    """Unless it is done before the signal comes."""
    flight = record_flight(close=True, count=5000)
    out = tmp_path / 'out.mcap'
    with subprocess.Popen(
        [*FDR, 'export', str(flight), '-o', str(out)], stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        wait_until(
            lambda: list(tmp_path.glob('.out.mcap.*')) or process.poll() is not None,
            'the export at work',
        )
        process.send_signal(signal.SIGINT)
        code = process.wait(DEADLINE_S)
        assert process.stderr.read() == b''
    assert code in (0, *INTERRUPTED)
    assert not list(tmp_path.glob('.out.mcap.*'))
    assert out.exists() == (code == 0)


# --- help and start-up -------------------------------------------------------------------------


def test_help_names_every_verb_and_imports_little() -> None:
    code, out, err = run('--help', program=(sys.executable, '-c', TELL_WHAT_WAS_IMPORTED))
    assert code == 0
    assert all(f'  {verb} ' in out for verb in VERBS)
    assert not SLOW_TO_IMPORT & set(err.split())


@pytest.mark.parametrize('words', COMMANDS, ids=' '.join)
def test_a_verb_explains_itself_with_an_example(words: tuple[str, ...]) -> None:
    program = (sys.executable, '-c', TELL_WHAT_WAS_IMPORTED)
    code, out, err = run(*words, '--help', program=program)
    assert code == 0
    assert f'\n  fdr {" ".join(words)} ' in out
    assert '--json' in out
    assert max(map(len, out.splitlines())) < 100
    assert not SLOW_TO_IMPORT & set(err.split())


WRONG = [], ['fly'], ['ls', '--fly'], ['export', 'x'], ['prune'], ['fleet'], ['fleet', 'ls']


@pytest.mark.parametrize('arguments', WRONG)
def test_wrong_usage_is_no_finding(arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert code == 3
    assert not out
    assert err.startswith('usage: fdr')


def test_every_public_name_is_found_though_none_is_imported_before() -> None:
    look = """
import sys, fdr_recorder
print(sorted({name.partition('.')[0] for name in sys.modules}))
from fdr_recorder import *
assert all(getattr(fdr_recorder, name) is globals()[name] for name in fdr_recorder.__all__)
assert set(fdr_recorder.__all__) <= set(dir(fdr_recorder))
assert not hasattr(fdr_recorder, 'nothing')
"""
    code, out, err = run(program=(sys.executable, '-c', look))
    assert (code, err) == (0, '')
    assert not SLOW_TO_IMPORT & set(ast.literal_eval(out))


def test_the_version() -> None:
    from fdr_recorder import __version__

    assert run('--version')[:2] == (0, f'fdr {__version__}\n')


# --- where flights are looked for --------------------------------------------------------------


def test_a_root_that_is_not_named(record_flight: Record, tmp_path: Path) -> None:
    flight = record_flight('one', close=True)
    root = flight.parent
    home = tmp_path / 'home'
    (home / 'fdr_flights').mkdir(parents=True)

    def listed(cwd: Path, **environment: str) -> tuple[str, list[str]]:
        done = subprocess.run(
            [*FDR, 'ls', '--json'],
            cwd=cwd,
            env={**os.environ, 'HOME': str(home), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        said = json.loads(done.stdout)
        return said['root'], [item['flight_id'] for item in said['flights']]

    assert listed(tmp_path, FDR_FLIGHT_ROOT=str(root)) == (str(root), ['one'])
    assert listed(root) == ('.', ['one'])
    assert listed(tmp_path) == (str(home / 'fdr_flights'), [])
    code, out, _ = run('info', 'one', '--json', FDR_FLIGHT_ROOT=str(root))
    assert code == 0
    assert json.loads(out)['flight_id'] == 'one'


# --- the shell ---------------------------------------------------------------------------------


def complete(line: str, **environment: str) -> list[str]:
    """Return what the shell is offered at the end of a line."""
    into_fd_8 = ('sh', '-c', 'exec "$@" 8>&1 >/dev/null', 'sh')
    code, offered, err = run(
        program=(*into_fd_8, *FDR),
        _ARGCOMPLETE='1',
        _ARGCOMPLETE_IFS='\n',
        COMP_LINE=line,
        COMP_POINT=str(len(line)),
        COMP_TYPE='9',
        **environment,
    )
    assert (code, err) == (0, '')
    return offered.split()


def test_the_shell_is_offered_verbs_flights_and_topics(
    record_flight: Record, tmp_path: Path
) -> None:
    root = record_flight('flight_one', close=True).parent
    record_flight('flight_two', close=True)
    here = {'FDR_FLIGHT_ROOT': str(root)}
    assert complete('fdr ve') == ['verify']
    assert set(complete('fdr info fl', **here)) == {'flight_one', 'flight_two'}
    assert complete('fdr info flight_t', **here) == ['flight_two']
    assert complete(f'fdr verify {root}/flight_o') == [f'{root}/flight_one/']
    assert set(complete('fdr cat flight_one -t /', **here)) == {
        '/blob',
        '/fdr/flight_header',
        '/fdr/flight_footer',
    }


# --- without ROS -------------------------------------------------------------------------------


def test_it_works_without_ros(record_flight: Record, tmp_path: Path) -> None:
    flight = record_flight('one', close=True)
    record_flight('two', close=False)
    root = flight.parent
    parameters = tmp_path / 'parameters.yaml'
    parameters.write_text(f'/**: {{ros__parameters: {{flight_root: {root}, topics: [/imu]}}}}')
    commands = {
        ('ls', root): 0,
        ('info', flight): 0,
        ('verify', flight): 0,
        ('recover', root): 0,
        ('export', flight, '-o', tmp_path / 'out.mcap'): 0,
        ('export', flight, '-o', tmp_path / 'bag', '--compression', 'zstd'): 0,
        ('cat', flight): 0,
        ('report', flight, '-o', tmp_path / 'page.html'): 0,
        ('check', '--config', parameters): 2,
        ('prune', root, '--keep', '1', '--unclean'): 0,
    }
    lines = [[str(word) for word in words] for words in commands]
    code, out, err = run(json.dumps(lines), program=(sys.executable, '-c', WITHOUT_ROS))
    assert (code, err) == (0, ''), out
    for words, (code, said) in zip(commands, map(json.loads, out.splitlines()), strict=True):
        assert code == commands[words], (words, said)
        assert said


# --- ros2 fdr ----------------------------------------------------------------------------------


@pytest.mark.skipif(
    importlib.util.find_spec('ros2cli') is None,
    reason='ros2cli is not installed; it comes with a ROS 2 installation',
)
def test_the_ros2_command_has_the_same_verbs(record_flight: Record) -> None:
    flight = record_flight('one', close=True)
    ros2 = (sys.executable, '-c', 'import sys; from ros2cli.cli import main; sys.exit(main())')
    assert all(f'  {verb} ' in run('fdr', '--help', program=ros2)[1] for verb in VERBS)
    assert run('fdr', 'verify', flight, '--json', program=ros2) == run('verify', flight, '--json')
    assert run('fdr', 'info', flight / 'nowhere', program=ros2)[0] == 3
    assert run('fdr', 'prune', program=ros2)[0] == 3
