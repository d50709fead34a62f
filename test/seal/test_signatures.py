# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Signatures and certificates: what we make, ssh-keygen accepts, and the other way round."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from fdr_recorder.errors import SealError
from fdr_recorder.seal import certificates, openssh, sshsig
from fdr_recorder.seal.identity import load_identity
from fdr_recorder.seal.keys import check_key, SessionKey
from hypothesis import given
from hypothesis import strategies as st
import pytest
from ssh_tools import is_accepted, KEY_TYPES, keygen, make_key, needs_openssh, public_line

pytestmark = needs_openssh
MESSAGE = b'flight: f\nnumber: 3\n'


@pytest.fixture(scope='module', params=KEY_TYPES)
def key_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp('keys') / 'key', request.param)


@pytest.fixture(scope='module')
def ed25519_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_key(tmp_path_factory.mktemp('keys') / 'key')


def test_ssh_keygen_accepts_a_signature_and_no_changed_message(
    key_file: Path, tmp_path: Path
) -> None:
    with load_identity(key_file) as identity:
        armored = sshsig.sign(identity, 'fdr-seal', MESSAGE)
    line = f'drone-7 namespaces="fdr-seal" {public_line(key_file)}'
    assert is_accepted(tmp_path, armored, 'fdr-seal', MESSAGE, line)
    assert not is_accepted(tmp_path, armored, 'fdr-seal', MESSAGE + b' ', line)
    assert not is_accepted(tmp_path, armored, 'fdr-flight', MESSAGE, line)


def test_a_signature_of_ssh_keygen_is_valid_to_the_letter(key_file: Path, tmp_path: Path) -> None:
    message = tmp_path / 'message'
    message.write_bytes(MESSAGE)
    keygen('-q', '-Y', 'sign', '-n', 'fdr-rotation', '-f', key_file, message)
    armored = (tmp_path / 'message.sig').read_text(encoding='utf-8')
    public = sshsig.verify(armored, 'fdr-rotation', MESSAGE)
    assert openssh.key_text(public) == public_line(key_file)
    for changed, namespace, said in (
        (armored, 'fdr-seal', "for 'fdr-rotation', not for 'fdr-seal'"),
        (armored.replace('\n', '\r\n'), 'fdr-rotation', 'malformed'),
        (armored + '\n', 'fdr-rotation', 'malformed'),
        (armored.rstrip(), 'fdr-rotation', 'malformed'),
    ):
        with pytest.raises(SealError, match=said):
            sshsig.verify(changed, namespace, MESSAGE)
    with pytest.raises(SealError, match='not by the key'):
        sshsig.verify(armored, 'fdr-rotation', MESSAGE + b'x')


def test_a_session_key_with_a_certificate_stands_for_the_identity(
    key_file: Path, tmp_path: Path
) -> None:
    """As docs say: one line of allowed_signers with `cert-authority` is all that is needed."""
    session = SessionKey.generate()
    with load_identity(key_file) as identity:
        certificate = certificates.issue(
            identity,
            session.public,
            key_id='fdr-flight f',
            principals=('drone-7',),
            serial=17,
        )
    signer = session.with_certificate(certificate)
    armored = sshsig.sign(signer, 'fdr-flight', MESSAGE)
    assert sshsig.verify(armored, 'fdr-flight', MESSAGE) == certificate
    key = public_line(key_file)
    options = 'cert-authority,namespaces="fdr-flight,fdr-seal"'
    assert is_accepted(tmp_path, armored, 'fdr-flight', MESSAGE, f'drone-7 {options} {key}')
    assert not is_accepted(tmp_path, armored, 'fdr-flight', MESSAGE, f'drone-7 {key}')
    assert not is_accepted(
        tmp_path, armored, 'fdr-flight', MESSAGE, f'other {options} {key}', who='other'
    )
    (tmp_path / 'cert.pub').write_text(openssh.key_text(certificate), encoding='utf-8')
    said = keygen('-L', '-f', tmp_path / 'cert.pub')
    for line in ('user certificate', '"fdr-flight f"', 'Serial: 17', 'forever', 'drone-7'):
        assert line in said
    assert openssh.fingerprint(openssh.parse_key(key)) in said

    read = certificates.check(
        certificate, ca=openssh.parse_key(key), key_id='fdr-flight f', principal='drone-7'
    )
    assert (read.public, read.serial) == (session.public, 17)
    for ca, key_id, principal in (
        (session.public, 'fdr-flight f', None),
        (read.ca, 'fdr-seal f', None),
        (read.ca, 'fdr-flight f', 'drone-8'),
    ):
        with pytest.raises(SealError):
            certificates.check(certificate, ca=ca, key_id=key_id, principal=principal)


def test_certificates_of_ssh_keygen_are_read(ed25519_file: Path, tmp_path: Path) -> None:
    other = make_key(tmp_path / 'other')
    for options, is_ours in ((('-O', 'clear'), True), ((), False), (('-V', '+1d'), False)):
        keygen('-q', '-s', ed25519_file, '-I', 'fdr-seal f', '-n', 'a,b', '-z', '7', *options,
               f'{other}.pub')
        text = Path(f'{other}-cert.pub').read_text(encoding='utf-8')
        blob = openssh.parse_key(text)
        read = certificates.parse(blob)
        assert (read.principals, read.serial) == (('a', 'b'), 7)
        if is_ours:
            certificates.check(blob, ca=read.ca, key_id='fdr-seal f')
        else:
            with pytest.raises(SealError, match='none as a recorder issues'):
                certificates.check(blob, ca=read.ca, key_id='fdr-seal f')


@pytest.mark.parametrize('name', ['', 'a\nb', 'a\0'])
def test_names_that_would_break_a_certificate_are_refused(name: str, ed25519_file: Path) -> None:
    session = SessionKey.generate()
    with load_identity(ed25519_file) as identity:
        for key_id, principals in ((name, ('a',)), ('a', (name,)), ('a', ())):
            with pytest.raises(SealError):
                certificates.issue(
                    identity, session.public, key_id=key_id, principals=principals
                )


def test_fingerprints_are_those_of_ssh_keygen(key_file: Path) -> None:
    blob = openssh.parse_key(Path(f'{key_file}.pub').read_text(encoding='utf-8'))
    check_key(blob)
    assert openssh.fingerprint(blob) == keygen('-l', '-f', key_file).split()[1]


@pytest.fixture(scope='module')
def signed(key_file: Path) -> tuple[str, bytes, bytes]:
    """Return an armored signature, the certificate in it, and the identity's key."""
    session = SessionKey.generate()
    with load_identity(key_file) as identity:
        certificate = certificates.issue(
            identity, session.public, key_id='fdr-seal f', principals=('a',)
        )
        armored = sshsig.sign(session.with_certificate(certificate), 'fdr-seal', MESSAGE)
        return armored, certificate, identity.public


def changed(data: bytes, draw: st.DataObject) -> bytes:
    """Return data after a few changes of any kind."""
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(data)))
        end = draw.draw(st.integers(at, min(len(data), at + 8)))
        data = data[:at] + draw.draw(st.binary(max_size=8)) + data[end:]
    return data


@given(draw=st.data())
def test_of_changed_signatures_none_is_valid(
    draw: st.DataObject, signed: tuple[str, bytes, bytes]
) -> None:
    armored, certificate, public = signed
    other = changed(armored.encode(), draw).decode('latin-1')
    if other != armored:
        with pytest.raises(SealError):
            sshsig.verify(other, 'fdr-seal', MESSAGE)
    blob = changed(certificate, draw)
    if blob != certificate:
        with pytest.raises(SealError):
            certificates.parse(blob)
    with suppress(SealError):  # another key may be one
        check_key(changed(public, draw))


@given(st.text(), st.binary())
def test_whatever_is_read_only_one_error_comes_out(text: str, data: bytes) -> None:
    for read in (
        lambda: openssh.parse_key(text),
        lambda: openssh.parse_key(f'ssh-ed25519 {text}'),
        lambda: openssh.key_text(data),
        lambda: certificates.parse(data),
        lambda: check_key(data),
        lambda: sshsig.verify(text, 'fdr-seal', data),
    ):
        with pytest.raises(SealError):
            read()


def test_a_length_that_lies_costs_nothing() -> None:
    for blob in (b'\xff\xff\xff\xff', b'\0\0\0\x07ssh-rsa\xff\xff\xff\xf0', b'\0' * (1 << 20)):
        with pytest.raises(SealError):
            check_key(blob)


def test_rsa_keys_that_are_none_are_refused() -> None:
    for e, n in (
        (3, 2**1000 + 1),
        (2, 2**2047 + 1),
        (1, 2**2047 + 1),
        (65537, 2**20000 + 1),
        (2**2000 + 1, 2**2047 + 1),
    ):
        blob = openssh.pack_string('ssh-rsa') + openssh.pack_mpint(e) + openssh.pack_mpint(n)
        with pytest.raises(SealError):
            check_key(blob)
