# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The examples in the help of each verb do what they say; bars are shown to people alone."""

from __future__ import annotations

from pathlib import Path
import re
import shlex
import shutil
import subprocess

from conftest import MakeWriter, SMALL
from fdr_program import run_fdr
from fdr_recorder import FdrConfig, new_flight_header
from fdr_recorder.cli.main import main
from fdr_recorder.fleet.store import Store
from fdr_recorder.seal import openssh
from fdr_recorder.seal.keys import SessionKey
from fdr_verbs import COMMANDS, module_of
import impatient_program
from job_workers import InlineWorkers
from mcap.writer import Writer as McapWriter
from producers import make_client, TEXT
import pytest
from requirements import cannot_run
from stored_flights import store_flight
from terminal import run_in_terminal

LIVE = ('tail', 'top', 'play')
FLIGHT = 'flight_20261122T110505Z_1aef'
TOPICS = ('/gps/fix', '/camera/image_raw', '/battery', '/imu/data', '/tf_static')
NOT_HERE = (
    '--open', 'my_vehicle.yaml', '--keys', '--proof', '--watch', '--prune',
    '--scheduler', '--every',
    *(f'fdr {verb}' for verb in LIVE),
)
"""
They open a browser, need ROS 2 and a vehicle, a sealed flight, or a recorder at work; they go on
for ever, take the flights away, or need a cluster.
"""


def examples() -> list[str]:
    found = []
    for words in COMMANDS:
        text = module_of(words).EXAMPLES
        for line in re.findall(r'^  (fdr .*)$', text, re.MULTILINE):
            command = re.split(r' {3,}', line)[0]
            if not any(word in command for word in NOT_HERE):
                found.append(command)
    return found


@pytest.fixture
def flights(
    make_writer: MakeWriter, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    writer = make_writer(**SMALL)
    clients = [make_client(topic, topic.encode().hex(), schema=TEXT) for topic in TOPICS]
    for client in clients:
        writer.register(client)
    header = new_flight_header(FLIGHT, FdrConfig(flight_root=str(root)))
    writer.open_flight(header)
    for client in clients:
        for _ in range(5):
            client.enqueue(b'\0\1\0\0\2\0\0\0a\0')
    writer.close_flight(FLIGHT)
    writer.stop()
    (root / 'others').mkdir()
    for name in ('recording', 'torn'):  # as the examples call other recordings
        with (root / 'others' / f'{name}.mcap').open('wb') as file:
            mcap = McapWriter(file)
            mcap.start('')
            channel = mcap.register_channel('/a', 'json', 0)
            mcap.add_message(channel, 1, b'1', 1)
            mcap.finish()
    store = root.parent / 'store'  # not inside the root
    store_flight(Store.open(str(store)), root / FLIGHT)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    assert main(['fleet', 'receive', str(store), '--workers', '1']) == 0
    return root


def test_every_verb_has_examples() -> None:
    shown = [command.split() for command in examples()]
    without = {
        words
        for words in COMMANDS
        if not any(command[1:][:len(words)] == list(words) for command in shown)
    }
    assert without == {('check',), *((verb,) for verb in LIVE)}
    assert len(examples()) > 20


def test_the_examples_do_what_they_say(
    flights: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not shutil.which('jq'):
        cannot_run('there is no jq')
    monkeypatch.setattr('fdr_recorder.fleet.jobs.processes.LocalWorkers', InlineWorkers)
    monkeypatch.chdir(flights)
    monkeypatch.setenv('HOME', str(flights / 'home'))  # where `fdr keygen` makes its key
    key = openssh.key_text(SessionKey.generate().public)
    (flights / 'allowed_signers').write_text(f'drone-7 {key}\n', encoding='utf-8')
    for command in sorted(examples(), key=lambda command: 'fdr keygen' not in command):
        usb = '../store' if 'fdr offload' in command else '.'
        words = command.replace('/data/flights', '.').replace('/media/usb/flights', usb)
        words = words.replace('s3://flights', '../store').replace('/big/disk', '.')
        words = words.replace(' recording.mcap', ' others/recording.mcap')
        words = words.replace(' torn.mcap', ' others/torn.mcap')
        words = words.replace('FLIGHT ', f'{FLIGHT} ').replace('62.5', '0')  # it is short
        code, out, err = run(words, capfd, tmp_path)
        assert (code, err) == (0, ''), command
        assert out or ' > ' in command, command
        for made in (*flights.glob('*.mcap'), *flights.glob('*.html'), flights / 'bag'):
            shutil.rmtree(made) if made.is_dir() else made.unlink(missing_ok=True)


def run(command: str, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> tuple[int, str, str]:
    """
    Run a command line in this process; return its exit code, its output and its errors.

    Where it needs a shell, one tells first what it makes of the words of `fdr`; a second one has
    the output of `fdr` in the place of the program.
    """
    if not set(command) & set('|<>;&$*~'):
        code = main(shlex.split(command)[1:])
        return code, *capfd.readouterr()
    told, output = tmp_path / 'words', tmp_path / 'output'
    words_told = f"fdr() {{ printf '%s\\0' \"$@\" > {told}; }}\n{command}"
    subprocess.run(['bash', '-c', words_told], timeout=60.0, check=False)
    capfd.readouterr()
    code = main(told.read_text().split('\0')[:-1])
    said = capfd.readouterr()
    output.write_text(said.out)
    ended = f'fdr() {{ cat {output}; return {code}; }}; set -o pipefail\n{command}'
    code = subprocess.run(['bash', '-c', ended], timeout=60.0, check=False).returncode
    piped = capfd.readouterr()
    return code, piped.out, said.err + piped.err


def test_bars_are_shown_on_a_terminal_alone(flights: Path) -> None:
    """A bar comes after half a second; with no patience it is there at once."""
    program = impatient_program.__name__
    for verb in ('verify', 'info'):
        command = (verb, flights / FLIGHT)
        said = run_in_terminal(*command, columns=100, with_stderr=True, program=program)
        assert said.code == 0
        assert '100 %' in said.text or '\x1b[?25l' in said.text
        said = run_in_terminal(
            *command, '--json', columns=100, with_stderr=True, program=program
        )
        assert '\x1b' not in said.text
        environment = {'CLICOLOR_FORCE': '1', 'FORCE_COLOR': '1'}
        done = run_fdr(*command, environment=environment, program=program, check=True)
        assert done.stderr == ''
