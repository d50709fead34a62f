# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Identity keys in files: all that ssh-keygen makes can be used, and errors say what to do."""

from __future__ import annotations

import base64
from contextlib import suppress
import os
from pathlib import Path
import subprocess
import sys

from fdr_recorder.errors import SealError
from fdr_recorder.seal.identity import load_identity, read_passphrase
from fdr_recorder.seal.key_files import make_key_file
from fdr_recorder.seal.openssh import key_text
from fdr_recorder.seal.primitives import Ed25519PrivateKey, load_ssh_private_key
from hypothesis import given
from hypothesis import strategies as st
from memory_scan import copies_in
import pytest
from ssh_tools import KEY_TYPES, make_key, needs_openssh, public_line

pytestmark = needs_openssh
PROGRAM = Path(__file__).resolve().parents[1] / 'support' / 'identity_program.py'
SECRET = 'correct horse \u00e4'


@pytest.mark.parametrize('passphrase', ['', SECRET], ids=['plain', 'encrypted'])
@pytest.mark.parametrize(
    ('key_type', 'form'),
    [
        *((key_type, 'RFC4716') for key_type in KEY_TYPES),
        *((key_type, form) for key_type in KEY_TYPES[1:] for form in ('PEM', 'PKCS8')),
    ],
)
def test_key_files_of_ssh_keygen_are_read(
    key_type: str, passphrase: str, form: str, tmp_path: Path
) -> None:
    path = make_key(tmp_path / 'key', key_type, passphrase, '-m', form)
    with load_identity(path, passphrase.encode() or None) as identity:
        assert key_text(identity.public) == public_line(path)
        assert identity.warnings == ()
    with pytest.raises(SealError, match='forgotten'):
        identity.sign(b'')
    if passphrase:
        with pytest.raises(SealError, match=r'is encrypted: put its passphrase into a file'):
            load_identity(path)
        with pytest.raises(SealError, match=r'the passphrase of .* is wrong'):
            load_identity(path, b'another one')


@pytest.mark.parametrize('cipher', ['aes256-ctr', 'aes256-cbc', 'aes256-gcm@openssh.com'])
def test_encrypted_with_another_cipher(cipher: str, tmp_path: Path) -> None:
    path = make_key(tmp_path / 'key', 'ed25519', SECRET, '-Z', cipher, '-a', '4')
    with load_identity(path, SECRET.encode()) as identity:
        assert key_text(identity.public) == public_line(path)


def test_of_what_cannot_be_decrypted_is_told_how_it_can(tmp_path: Path) -> None:
    for name, options, said in (
        ('cipher', ('-Z', 'aes128-ctr'), 'ssh-keygen -p -Z aes256-ctr -f '),
        ('rounds', ('-a', '2'), 'ssh-keygen -p -a 24 -f '),
    ):
        path = make_key(tmp_path / name, 'ed25519', SECRET, *options)
        if name == 'rounds':  # ssh-keygen itself would take minutes for that many
            begin, *lines, end, _ = path.read_text(encoding='utf-8').split('\n')
            raw = base64.b64decode(''.join(lines)).replace(b'\0\0\0\2', b'\0\0\xff\xff', 1)
            text = '\n'.join((begin, base64.b64encode(raw).decode(), end))
            path.write_text(text, encoding='utf-8')
        with pytest.raises(SealError, match=said):
            load_identity(path, SECRET.encode())


def test_a_passphrase_that_is_not_needed_does_no_harm(tmp_path: Path) -> None:
    load_identity(make_key(tmp_path / 'key'), b'something').close()


def test_a_passphrase_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    path = tmp_path / 'passphrase'
    for data in (b'a b', b'a b\n', b'a b\r\n', b'a b\nnot this'):
        path.write_bytes(data)
        assert read_passphrase(path) == b'a b'
    assert read_passphrase('') is None
    path.write_bytes(b'\n')
    with pytest.raises(SealError, match='has no passphrase'):
        read_passphrase(path)
    with pytest.raises(SealError, match=r'cannot be read \(No such file.*passphrase_file'):
        read_passphrase(tmp_path / 'none')


def test_a_key_that_others_can_read_is_used_with_a_warning(tmp_path: Path) -> None:
    path = make_key(tmp_path / 'key')
    path.chmod(0o644)
    with load_identity(path) as identity:
        assert identity.warnings == (f'{path} can be read by others: chmod 600 {path}',)


def test_what_is_no_key_is_refused_at_once_and_says_what_to_do(tmp_path: Path) -> None:
    fifo = tmp_path / 'fifo'
    os.mkfifo(fifo)
    empty, large, binary = (tmp_path / name for name in ('empty', 'large', 'binary'))
    empty.touch()
    large.write_bytes(bytes(1 << 17))
    binary.write_bytes(bytes(range(256)))
    for path, said in (
        (tmp_path / 'none', r'cannot be read \(No such file or directory\): make a key'),
        (tmp_path, 'is not a file'),
        (fifo, 'is not a file'),
        (empty, 'is no key of OpenSSH; make one with `fdr keygen`'),
        (large, 'is too large'),
        (binary, 'is no key of OpenSSH'),
        (Path('\0'), 'cannot be read'),
    ):
        with pytest.raises(SealError, match=said):
            load_identity(path)


@pytest.mark.skipif(os.geteuid() == 0, reason='root may read everything')
def test_a_key_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = make_key(tmp_path / 'key')
    path.chmod(0)
    with pytest.raises(SealError, match='give the user who runs this the right'):
        load_identity(path)


@pytest.fixture(scope='module')
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp('keys') / 'key', 'ecdsa-256')


@given(draw=st.data())
def test_of_a_damaged_key_file_one_error_comes_out(draw: st.DataObject, key_file: Path) -> None:
    whole = key_file.read_bytes()
    at = draw.draw(st.integers(0, len(whole)))
    end = draw.draw(st.integers(at, min(len(whole), at + 9)))
    damaged = key_file.with_name('damaged')
    damaged.write_bytes(whole[:at] + draw.draw(st.binary(max_size=9)) + whole[end:])
    with suppress(SealError):  # as for a changed comment it may still be one
        load_identity(damaged, b'x').close()


def test_a_malformed_cipher_of_an_old_key_file_is_an_error(tmp_path: Path) -> None:
    path = make_key(tmp_path / 'key', 'ecdsa-256', SECRET, '-m', 'PEM')
    whole = path.read_text(encoding='utf-8')
    (cipher,) = (line for line in whole.split('\n') if line.startswith('DEK-Info: '))
    for changed in (cipher[:-2], 'DEK-Info: DES-CBC,00', 'DEK-Info:', ''):
        path.write_text(whole.replace(cipher, changed), encoding='utf-8')
        with pytest.raises(SealError, match='its cipher is not known'):
            load_identity(path, SECRET.encode())


@pytest.mark.parametrize('key_type', ['ed25519', 'ecdsa-256'])
def test_of_a_damaged_plain_key_one_error_comes_out(key_type: str, tmp_path: Path) -> None:
    """In what is in base64, too: every byte changed, and every length."""
    path = make_key(tmp_path / 'key', key_type)
    begin, *lines, end, _ = path.read_text(encoding='utf-8').split('\n')
    raw = base64.b64decode(''.join(lines))
    for at in range(len(raw)):
        for changed in (raw[:at], raw[:at] + bytes([raw[at] ^ 0x81]) + raw[at + 1:]):
            text = base64.b64encode(changed).decode()
            path.write_text(f'{begin}\n{text}\n{end}\n', encoding='utf-8')
            with suppress(SealError):  # as for a changed comment it may still be one
                load_identity(path).close()


def test_a_closed_identity_is_not_in_memory_any_more(tmp_path: Path) -> None:
    path = tmp_path / 'key'
    make_key_file(path)
    key = load_ssh_private_key(path.read_bytes(), None)
    assert isinstance(key, Ed25519PrivateKey)
    lines = path.read_bytes().splitlines()
    secrets = (key.private_bytes_raw(), lines[2][:60], lines[3][:60])
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == 'loaded\n'
            try:
                alive = copies_in(process.pid, secrets[0])
            except PermissionError:
                pytest.skip('reading the memory of another process is forbidden here')
            process.stdin.write('\n')
            process.stdin.flush()
            assert process.stdout.readline() == 'closed\n'
            assert alive == 1  # in OpenSSL; with 0 this test finds nothing
            assert [copies_in(process.pid, secret) for secret in secrets] == [0, 0, 0]
        finally:
            process.stdin.close()


def test_without_cryptography_an_error_says_what_to_install() -> None:
    program = (
        'import sys; sys.modules["cryptography"] = None\n'
        'from fdr_recorder.errors import ExtraMissingError\n'
        'import fdr_recorder.seal.openssh, fdr_recorder.seal\n'
        'try:\n    import fdr_recorder.seal.identity\n'
        'except ExtraMissingError as error:\n    print(error)\n'
    )
    done = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    assert "pip install 'fdr_recorder[seal]'" in done.stdout
