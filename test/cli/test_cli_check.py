# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""`fdr check` without ROS: the configuration, the flight root, the clock, the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path
import subprocess
import time
from typing import Any

from conftest import Record
from disk_faults import free_space, mounted_tmpfs
from fdr_recorder import ConfigInvalidError, FdrConfig, FlightRoot
from fdr_recorder.cli.main import main
from fdr_recorder.cli.preflight_checks import WORK_NAME
from fdr_recorder.parameter_file import read_parameter_file, write_parameter_file
import pytest
from ssh_tools import make_key, needs_openssh
import yaml

TEMPLATE = Path(__file__).resolve().parents[2] / 'config' / 'recorder.yaml'
HOUR_S = 3600


@pytest.fixture
def parameters(tmp_path: Path, root: Path) -> Path:
    """Return a parameter file for the root."""
    return write(tmp_path, {'flight_root': str(root), 'topics': ['/imu/data']})


def write(tmp_path: Path, options: dict[str, Any], node: str = '/**') -> Path:
    path = tmp_path / 'parameters.yaml'
    path.write_text(yaml.safe_dump({node: {'ros__parameters': options}}))
    return path


def check(
    capsys: pytest.CaptureFixture[str], *arguments: object, code: int
) -> dict[str, tuple[str, str]]:
    """Return verdict and text of each check that is made without ROS."""
    assert main(['check', *map(str, arguments), '--measure', '0', '--json']) == code
    said = json.loads(capsys.readouterr().out)
    return {item['name']: (item['verdict'], item['text']) for item in said['checks']}


def test_what_can_be_checked_is_well_and_the_rest_is_named(
    parameters: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = check(capsys, '--config', parameters, code=2)
    verdicts = {name: verdict for name, (verdict, _) in found.items()}
    assert verdicts == {
        'configuration': 'ok',
        'flight root': 'ok',
        'clock': 'ok',
        'rehearsal': 'skipped',
        'space': 'skipped',
    }
    assert list(root.iterdir()) == []
    assert main(['check', '--config', str(parameters), '--measure', '0']) == 2
    text = capsys.readouterr().out
    assert all(name in text for name in verdicts)


@needs_openssh
def test_the_key_that_seals_is_tried(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = make_key(tmp_path / 'identity', 'ed25519', 'secret')
    options: dict[str, Any] = {
        'flight_root': str(root), 'topics': ['/imu'], 'seal': {'key_file': str(key)}
    }
    verdict, text = check(capsys, '--config', write(tmp_path, options), code=1)['seal']
    assert verdict == 'failed'
    assert text.startswith('flights would be recorded, but not sealed: ')
    assert str(key) in text
    secret = tmp_path / 'passphrase'
    secret.write_text('secret')
    options['seal']['passphrase_file'] = str(secret)
    verdict, text = check(capsys, '--config', write(tmp_path, options), code=2)['seal']
    assert (verdict, text.split(' (SHA256:')[0]) == ('ok', f'flights are sealed by {key}')


def test_each_rate_is_told_with_the_topics_that_it_limits(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options: dict[str, Any] = {
        'flight_root': str(root), 'topics': ['/imu', '/gps', '/cam/*'],
        'max_rate': ['/**=50', '/imu=100', '/cam/**=2'],
    }
    parameters = write(tmp_path, options)
    assert check(capsys, '--config', parameters, '--measure', '0', code=2)['max_rate'] == (
        'ok',
        '/**=50 limits /gps; /imu=100 limits /imu; /cam/**=2 limits no topic that is known',
    )
    options['max_rate'] = ['/imu=fast']
    verdict, text = check(capsys, '--config', write(tmp_path, options), code=1)['configuration']
    assert verdict == 'failed'
    assert 'max_rate: /imu=fast: after = must stand messages a second' in text


# --- the parameter file ------------------------------------------------------------------------


def test_the_template_is_understood() -> None:
    assert FdrConfig.from_options(read_parameter_file(TEMPLATE)) == FdrConfig()


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    config = FdrConfig(topics=('/a',), vehicle_id='x')
    path = tmp_path / 'p.yaml'
    write_parameter_file(path, config.to_options())
    assert FdrConfig.from_options(read_parameter_file(path)) == config


def test_the_parameters_of_the_node_go_over_those_of_any(tmp_path: Path) -> None:
    path = tmp_path / 'p.yaml'
    path.write_text(
        """
/drone_7/fdr_recorder: {ros__parameters: {vehicle_id: seven, writer: {batch_size: 7}}}
camera: {ros__parameters: {rate: 30}}
/**: {ros__parameters: {vehicle_id: any, use_sim_time: true, writer.compression: lz4}}
"""
    )
    assert read_parameter_file(path) == {
        'vehicle_id': 'seven',
        'writer.batch_size': 7,
        'writer.compression': 'lz4',
    }


@pytest.mark.parametrize(
    'text',
    ['', '[]', 'a: 1', 'camera: {ros__parameters: {rate: 30}}', '/**: {ros__parameters: 1}', '{'],
)
def test_what_is_no_parameter_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / 'p.yaml'
    path.write_text(text)
    with pytest.raises(ConfigInvalidError, match=r'p\.yaml'):
        read_parameter_file(path)


def test_every_mistake_is_named(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = {'flight_root': str(root), 'topics': ['not a topic'], 'writer': {'batch_size': 0}}
    path = write(tmp_path, {**options, 'wirter.batch_size': 1})
    assert main(['check', '--config', str(path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    assert all(line.startswith('FAILED   configuration') for line in lines)
    for text in (
        "unknown parameter 'wirter.batch_size'; did you mean 'writer.batch_size'?",
        'writer.batch_size: must be',
        'topics: ',
    ):
        assert any(text in line for line in lines)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        ({'topics': ['']}, 'topics: none is chosen'),
        ({'topics': ['/a'], 'manifest_files': ['/nowhere']}, 'manifest_files: /nowhere'),
    ],
)
def test_what_would_record_nothing_or_be_refused(
    tmp_path: Path,
    root: Path,
    capsys: pytest.CaptureFixture[str],
    options: dict[str, Any],
    words: str,
) -> None:
    path = write(tmp_path, {'flight_root': str(root), **options})
    verdict, text = check(capsys, '--config', path, code=1)['configuration']
    assert verdict == 'failed'
    assert words in text


# --- the flight root ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('kind', 'words'), [('missing', 'does not exist'), ('file', 'not a directory')]
)
def test_a_root_that_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, words: str
) -> None:
    path = tmp_path / 'data'
    if kind == 'file':
        path.write_text('')
    parameters = write(tmp_path, {'flight_root': str(path), 'topics': ['/a']})
    verdict, text = check(capsys, '--config', parameters, code=1)['flight root']
    assert verdict == 'failed'
    assert words in text


def test_a_root_that_cannot_be_written_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with mounted_tmpfs(tmp_path / 'disk', 1 << 20) as disk:
        subprocess.run(['mount', '-o', 'remount,ro', str(disk)], check=True)
        parameters = write(tmp_path, {'flight_root': str(disk), 'topics': ['/a']})
        verdict, text = check(capsys, '--config', parameters, code=1)['flight root']
    assert verdict == 'failed'
    assert 'Read-only file system' in text


def test_a_root_that_a_recorder_owns_is_well(
    parameters: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with FlightRoot.acquire(root, owner='/fdr_recorder'):
        verdict, text = check(capsys, '--config', parameters, code=2)['flight root']
    assert verdict == 'ok'
    assert '/fdr_recorder' in text


def test_what_a_killed_check_has_left_is_removed(
    parameters: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = root / WORK_NAME / 'rehearsal'
    left.mkdir(parents=True)
    (left / 'segment_000000.mcap').write_bytes(b'x')
    check(capsys, '--config', parameters, code=2)
    assert list(root.iterdir()) == []


def test_another_check_at_work_is_not_disturbed(
    parameters: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / WORK_NAME).mkdir()
    with FlightRoot.acquire(root / WORK_NAME):
        verdict, _ = check(capsys, '--config', parameters, code=1)['flight root']
        assert (root / WORK_NAME / '.fdr.lock').exists()
    assert verdict == 'failed'


# --- the clock ---------------------------------------------------------------------------------


def test_a_clock_in_1970(
    parameters: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, 'time_ns', lambda: 3600 * 10**9)
    verdict, text = check(capsys, '--config', parameters, code=1)['clock']
    assert verdict == 'failed'
    assert text.startswith('1970-01-01 01:00:00Z is before this software was installed')


def test_a_clock_before_the_newest_flight(
    parameters: Path, capsys: pytest.CaptureFixture[str], record_flight: Record
) -> None:
    flight = record_flight('ahead', close=True)
    ahead = time.time() + HOUR_S
    os.utime(flight, (ahead, ahead))
    verdict, text = check(capsys, '--config', parameters, code=1)['clock']
    assert verdict == 'failed'
    assert 'ahead' in text


# --- the disk ----------------------------------------------------------------------------------


def test_a_full_disk(
    parameters: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, 'statvfs', free_space(lambda: 100 << 20, os.statvfs))
    verdict, text = check(capsys, '--config', parameters, code=1)['space']
    assert verdict == 'failed'
    assert '100.0 MiB free' in text
    assert '512.0 MiB of it not to be used' in text
