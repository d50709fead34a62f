# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""An identity in ssh-agent: the real one, FIDO tokens, and agents that are gone, hang or lie."""

from __future__ import annotations

from pathlib import Path
import shutil
import subprocess
import time

from fake_agent import (
    agent_that,
    FAILURE,
    FidoToken,
    LIST,
    LISTED,
    message,
    real_agent,
    SIGNED,
)
from fdr_recorder.errors import SealError
from fdr_recorder.seal import agent, certificates, openssh, sshsig
from fdr_recorder.seal.identity import load_identity
from fdr_recorder.seal.keys import SessionKey
import pytest
from ssh_tools import is_accepted, KEY_TYPES, make_key, needs_openssh, public_line

pytestmark = [
    needs_openssh,
    pytest.mark.skipif(shutil.which('ssh-agent') is None, reason='there is no ssh-agent'),
]


def test_keys_of_all_types_sign_in_the_real_agent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_agent(tmp_path) as path:
        monkeypatch.setenv('SSH_AUTH_SOCK', str(path))
        for key_type in KEY_TYPES:
            key = make_key(tmp_path / key_type, key_type)
            public = Path(f'{key}.pub')
            with pytest.raises(SealError, match=f'ssh-agent has no key SHA256:.*: ssh-add {key}'):
                load_identity(public)
            subprocess.run(['ssh-add', '-q', str(key)], check=True, timeout=60)
            key.unlink()
            with load_identity(public) as identity:
                armored = sshsig.sign(identity, 'fdr-seal', b'text')
                assert str(public) in identity.source
            assert is_accepted(tmp_path, armored, 'fdr-seal', b'text', f'* {public_line(key)}')
        identity = load_identity(public)
        subprocess.run(['ssh-add', '-q', '-D'], check=True, capture_output=True, timeout=60)
        with pytest.raises(SealError, match='does not sign with SHA256:'):
            identity.sign(b'')
        assert public.is_file()
    with pytest.raises(SealError, match='there is no ssh-agent at'):
        identity.sign(b'')


def test_a_key_in_a_fido_token_certifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = FidoToken()
    public = tmp_path / 'id_sk.pub'
    line = openssh.key_text(token.public)
    public.write_text(f'{line} a token\n', encoding='utf-8')
    with agent_that(token, tmp_path) as path:
        monkeypatch.setenv('SSH_AUTH_SOCK', str(path))
        session = SessionKey.generate()
        with load_identity(public) as identity:
            direct = sshsig.sign(identity, 'fdr-rotation', b'text')
            certificate = certificates.issue(
                identity, session.public, key_id='fdr-seal f', principals=('drone-7',)
            )
    certificates.check(certificate, ca=token.public, key_id='fdr-seal f')
    assert sshsig.verify(direct, 'fdr-rotation', b'text') == token.public
    assert is_accepted(tmp_path, direct, 'fdr-rotation', b'text', f'drone-7 {line}')
    armored = sshsig.sign(session.with_certificate(certificate), 'fdr-seal', b'text')
    sshsig.verify(armored, 'fdr-seal', b'text')
    assert is_accepted(
        tmp_path, armored, 'fdr-seal', b'text', f'drone-7 cert-authority {line}'
    )


def test_without_an_agent_the_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = Path(f'{make_key(tmp_path / "key")}.pub')
    monkeypatch.delenv('SSH_AUTH_SOCK', raising=False)
    with pytest.raises(SealError, match='SSH_AUTH_SOCK is not set'):
        load_identity(public)
    for path in (tmp_path / 'none', tmp_path / ('x' * 200), public):
        monkeypatch.setenv('SSH_AUTH_SOCK', str(path))
        with pytest.raises(SealError, match='there is no ssh-agent at'):
            load_identity(public)


def test_an_agent_that_hangs_is_left_after_the_time_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = Path(f'{make_key(tmp_path / "key")}.pub')
    monkeypatch.setattr(agent, 'TIMEOUT_S', 0.3)
    with agent_that(lambda _: None, tmp_path) as path:
        monkeypatch.setenv('SSH_AUTH_SOCK', str(path))
        began = time.monotonic()
        with pytest.raises(SealError, match='does not answer within'):
            load_identity(public)
        assert time.monotonic() - began < 2.0


@pytest.mark.parametrize(
    'answer',
    [
        b'',
        b'\0\0',
        b'\0\0\0\0',
        b'\xff\xff\xff\xff\x0c',
        b'HTTP/1.1 400 Bad Request\r\n\r\n',
        message(FAILURE),
        message(LISTED),
        message(LISTED, b'\xff\xff\xff\xff'),
        message(LISTED, b'\0\0\0\1\xff\xff\xff\xff'),
        message(LISTED, b'\0\0\0\0more'),
    ],
)
def test_what_is_no_agent_is_told(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = Path(f'{make_key(tmp_path / "key")}.pub')
    with agent_that(lambda _: answer, tmp_path) as path:
        monkeypatch.setenv('SSH_AUTH_SOCK', str(path))
        with pytest.raises(SealError, match='agent'):
            load_identity(public)


def test_a_wrong_signature_of_an_agent_is_never_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = Path(f'{make_key(tmp_path / "key", "rsa-2048")}.pub')
    blob = openssh.parse_key(public.read_text(encoding='utf-8'))
    old_form = openssh.pack_string('ssh-rsa') + openssh.pack_string(bytes(256))  # with SHA-1
    listed = openssh.pack_uint32(1) + openssh.pack_string(blob) + openssh.pack_string('')

    def lie(request: bytes) -> bytes:
        signature = message(SIGNED, openssh.pack_string(old_form))
        return message(LISTED, listed) if request[0] == LIST else signature

    with agent_that(lie, tmp_path) as path:
        monkeypatch.setenv('SSH_AUTH_SOCK', str(path))
        with pytest.raises(SealError, match='ssh-agent signs wrongly'):
            load_identity(public).sign(b'data')
