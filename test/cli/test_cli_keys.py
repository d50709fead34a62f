# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""`fdr keygen` and `fdr keys`: what they make, ssh-keygen, ssh-add and a recorder can use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import json
import os
from pathlib import Path
import pty
import select
import stat
import subprocess
import sys
from typing import Any

from fake_agent import agent_that, FidoToken, real_agent
from fdr_recorder.cli.main import main
from fdr_recorder.seal import openssh, rotation
from fdr_recorder.seal.allowed_signers import read_allowed_signers
from fdr_recorder.seal.identity import load_identity
import pytest
from ssh_tools import KEY_TYPES, keygen, make_key, needs_openssh, public_line

pytestmark = needs_openssh
NAME = ('--principal', 'drone-7')
SECRET = 'correct horse'

Ask = Callable[..., Any]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Return what runs a verb with `--json`, and returns its document."""

    def run(*words: object) -> Any:
        code = main([*map(str, words), '--json'])
        text, errors = capsys.readouterr()
        assert code == 0, errors
        return json.loads(text)

    return run


def passphrase_file(directory: Path) -> Path:
    path = directory / 'passphrase'
    path.write_text(f'{SECRET}\n', encoding='utf-8')
    return path


def test_a_new_key_is_one_for_openssh(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'made' / 'key'
    assert main(['keygen', str(path), *NAME]) == 0
    said = capsys.readouterr().out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert keygen('-y', '-f', path).split()[:2] == public_line(path).split()
    fingerprint = keygen('-l', '-f', path).split()[1]
    assert f'{path}: {fingerprint} (not encrypted' in said
    assert f"\nseal.key_file: '{path}'\n" in said
    assert 'passphrase_file' not in said
    options = 'cert-authority,namespaces="fdr-flight,fdr-seal"'
    assert f'\ndrone-7 {options} {public_line(path)}\n' in said
    with real_agent(tmp_path) as socket:
        monkeypatch.setenv('SSH_AUTH_SOCK', str(socket))
        subprocess.run(['ssh-add', '-q', str(path)], check=True, timeout=60)
        load_identity(f'{path}.pub').close()


def test_with_a_passphrase_file_the_key_is_encrypted(tmp_path: Path, ask: Ask) -> None:
    path, file = tmp_path / 'key', passphrase_file(tmp_path)
    document = ask('keygen', path, *NAME, '--passphrase-file', file)
    assert document['is_encrypted']
    assert document['parameters'] == [
        {'name': 'seal.key_file', 'value': str(path)},
        {'name': 'seal.passphrase_file', 'value': str(file)},
    ]
    assert keygen('-y', '-P', SECRET, '-f', path).split()[:2] == document['public_key'].split()
    keygen('-y', '-P', 'wrong', '-f', path, succeeds=False)


def test_on_a_terminal_a_passphrase_is_asked_for_twice(tmp_path: Path) -> None:
    for answers, code in (((SECRET, SECRET), 0), ((SECRET, 'other'), 3), (('',), 0)):
        path = tmp_path / f'key{len(answers[-1])}'
        assert run_and_answer(['keygen', str(path), *NAME], answers) == code
        assert path.exists() == (code == 0)
        if code == 0:
            keygen('-y', '-P', answers[0], '-f', path)
    encrypted = tmp_path / f'key{len(SECRET)}'
    assert run_and_answer(['keys', 'rotate', str(encrypted), *NAME], ['wrong']) == 3
    assert run_and_answer(['keys', 'rotate', str(encrypted), *NAME], [SECRET]) == 0
    assert keygen('-y', '-P', SECRET, '-f', encrypted)


def run_and_answer(words: list[str], answers: Sequence[str]) -> int:
    """Run `fdr` in a terminal, and answer what it asks; return its exit code."""
    ours, theirs = pty.openpty()
    command = [sys.executable, '-m', 'fdr_recorder.cli', *words]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        said, waiting = b'', list(answers)
        while select.select([ours], [], [], 60)[0]:
            try:
                said += os.read(ours, 4096)
            except OSError:  # it has ended
                break
            if waiting and said.endswith(b': '):
                os.write(ours, waiting.pop(0).encode() + b'\n')
                said += b'\n'
        process.kill()  # does nothing to one that has ended
        os.close(ours)
    assert not waiting, said
    assert SECRET.encode() not in said
    return process.returncode


def test_nothing_is_ever_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ('key', 'key.pub', 'key.rotations'):
        directory = tmp_path / name
        directory.mkdir()
        (directory / name).write_text('mine', encoding='utf-8')
        assert main(['keygen', str(directory / 'key'), *NAME]) == 3
        assert 'exists already, and a key is never overwritten' in capsys.readouterr().err
        assert [path.read_text(encoding='utf-8') for path in directory.iterdir()] == ['mine']


def test_what_cannot_be_done_is_told_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, none = tmp_path / 'key', tmp_path / 'none'
    for words, said in (
        (['keygen', str(path), '--principal', 'a,b'], "'a,b' cannot name a vehicle"),
        (['keygen', str(path), '--passphrase-file', str(none)], f'{none} cannot be read'),
        (['keygen', '/proc/key'], '/proc'),
        (['keys', 'show', str(none)], f'{none} cannot be read'),
        (['keys', 'list', str(none)], f'{none} cannot be read'),
        (['keys', 'rotate', str(none)], f'{none} cannot be read'),
        (['keys', 'show', '~nobody-here/key'], '~nobody-here/key cannot be read'),
        (['keys', 'show', str(none), '--to', 'x'], '--to goes with rotate'),
        (['keys', 'list', str(none), *NAME], 'list takes'),
    ):
        assert main(words) == 3
        text, errors = capsys.readouterr()
        assert said in errors
        assert errors.count('\n') == 1
        assert not text
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('key_type', KEY_TYPES)
def test_keys_of_ssh_keygen_are_shown(key_type: str, tmp_path: Path, ask: Ask) -> None:
    path = make_key(tmp_path / 'key', key_type, SECRET)
    for name in (path, f'{path}.pub'):
        (key,) = ask('keys', 'show', name, *NAME)['keys']
        assert key['public_key'] == public_line(path)
        assert key['fingerprint'] == keygen('-l', '-f', f'{path}.pub').split()[1]
    allowed = tmp_path / 'allowed_signers'
    allowed.write_text(key['allowed_signers'], encoding='utf-8')
    (listed,) = ask('keys', 'list', allowed)['keys']
    assert listed['fingerprint'] == key['fingerprint']
    assert read_allowed_signers(allowed)[0].is_for('drone-7')


def test_rotating_keeps_the_old_key_and_the_way_to_it(tmp_path: Path, ask: Ask) -> None:
    file = passphrase_file(tmp_path)
    path = make_key(tmp_path / 'key', 'rsa-2048', SECRET)
    fingerprints = [ask('keys', 'show', path, *NAME)['keys'][0]['fingerprint']]
    first = openssh.parse_key(public_line(path))
    for _ in range(2):
        before = path.read_bytes()
        said = ask('keys', 'rotate', path, *NAME, '--passphrase-file', file)
        kept = Path(said['kept'])
        assert kept.read_bytes() == before
        assert stat.S_IMODE(kept.stat().st_mode) == 0o600
        assert keygen('-y', '-P', SECRET, '-f', path).split()[:2] == public_line(path).split()
        fingerprints.append(said['keys'][0]['fingerprint'])
        assert [one['new'] for one in said['rotations']] == fingerprints[1:]
        assert [one['old'] for one in said['rotations']] == fingerprints[:-1]
        kept.rename(tmp_path / f'gone{len(fingerprints)}')  # two in the same second
        Path(f'{kept}.pub').unlink()
    assert not list(tmp_path.glob('*.new'))
    with load_identity(path, SECRET.encode()) as identity:
        statements = [rotation.decode_rotation(text) for text in identity.rotations]
        assert rotation.trusted_ancestor(identity.public, {first}, statements) == first


def test_a_rotated_key_can_be_read_by_whom_the_old_one_could(tmp_path: Path, ask: Ask) -> None:
    """The recorder may run as another user than the one who rotates, who is root then."""
    path = make_key(tmp_path / 'key')
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 4711, 4712)
    before = path.stat()
    kept = Path(ask('keys', 'rotate', path, *NAME)['kept'])
    for made in (path, kept):
        now = made.stat()
        assert (now.st_uid, now.st_gid, now.st_mode) == (
            before.st_uid, before.st_gid, before.st_mode,
        )
    for public in (f'{path}.pub', f'{kept}.pub', f'{path}.rotations'):
        assert stat.S_IMODE(Path(public).stat().st_mode) == 0o644


def test_a_rotation_that_was_interrupted_can_be_done_again(tmp_path: Path, ask: Ask) -> None:
    """Killed before the key was replaced: a new key lies there, and a statement names it."""
    path = make_key(tmp_path / 'key')
    never = make_key(tmp_path / 'never')
    with load_identity(path) as identity, load_identity(never) as other:
        text = rotation.rotate(identity, other.public, '2026-01-01T00:00:00Z').text
    Path(f'{path}.rotations').write_text(text, encoding='utf-8')
    never.rename(f'{path}.new')
    with load_identity(path) as identity:
        assert identity.rotations == ()
    said = ask('keys', 'rotate', path, *NAME)
    assert len(said['rotations']) == 1
    with load_identity(path) as identity:
        assert len(identity.rotations) == 1
    assert not list(tmp_path.glob('*.new'))


def test_a_key_in_a_token_can_name_another_as_next(
    tmp_path: Path, ask: Ask, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token, new = FidoToken(), make_key(tmp_path / 'new')
    public = tmp_path / 'old.pub'
    public.write_text(openssh.key_text(token.public), encoding='utf-8')
    with agent_that(token, tmp_path) as socket:
        monkeypatch.setenv('SSH_AUTH_SOCK', str(socket))
        assert main(['keys', 'rotate', str(public), *NAME]) == 3
        assert f'fdr keys rotate {public} --to NEW.pub' in capsys.readouterr().err
        said = ask('keys', 'rotate', public, '--to', f'{new}.pub', *NAME)
        assert main(['keys', 'rotate', str(public), '--to', str(new), *NAME]) == 3
        assert 'exists already' in capsys.readouterr().err
    assert said['kept'] == str(public)
    with load_identity(new) as identity:
        (statement,) = identity.rotations
        assert rotation.decode_rotation(statement).old == token.public


def test_a_list_shows_what_lines_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = public_line(make_key(tmp_path / 'key'))
    allowed = tmp_path / 'allowed_signers'
    allowed.write_text(
        f'drone-7 cert-authority,namespaces="fdr-seal" {key} the red one\n'
        f'*@lab valid-before="20270101Z" {key}\n',
        encoding='utf-8',
    )
    assert main(['keys', 'list', str(allowed)]) == 0
    heading, first, second, _, end = capsys.readouterr().out.splitlines()
    assert heading.split()[:2] == ['line', 'vehicle']
    assert 'fdr-seal' in first
    assert 'and keys that it certifies, the red one' in first
    assert 'anything' in second
    assert 'to 2027-01-01 00:00:00Z' in second
    assert end == f'2 keys in {allowed}'
    allowed.write_text('# none\n', encoding='utf-8')
    assert main(['keys', 'list', str(allowed)]) == 0
    assert capsys.readouterr().out == f'0 keys in {allowed}\n'


def test_without_cryptography_it_says_what_to_install(tmp_path: Path) -> None:
    program = (
        'import sys; sys.modules["cryptography"] = None\n'
        'from fdr_recorder.cli.main import main; sys.exit(main())'
    )
    for words in (['keygen', str(tmp_path / 'key')], ['keys', 'list', 'x']):
        done = subprocess.run(
            [sys.executable, '-c', program, *words], capture_output=True, text=True, check=False
        )
        assert done.returncode == 3
        assert 'this needs cryptography, which is not installed' in done.stderr
        assert "pip install 'fdr_recorder[seal]'" in done.stderr
