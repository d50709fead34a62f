# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Files of allowed signers mean to us what they mean to ssh-keygen."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
import subprocess
import time

from fdr_recorder.errors import SealError
from fdr_recorder.seal import openssh, sshsig
from fdr_recorder.seal.allowed_signers import (
    matches,
    parse_allowed_signers,
    read_allowed_signers,
    trusted_keys,
)
from fdr_recorder.seal.keys import SessionKey
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest
from ssh_tools import needs_openssh

KEY = SessionKey.generate()
LINE = openssh.key_text(KEY.public)
NAMESPACES = 'fdr-flight,fdr-seal'


def test_what_a_line_says() -> None:
    text = (
        '# vehicles\n\n'
        f'drone-7 cert-authority,namespaces="{NAMESPACES}" {LINE} of the red one\r\n'
        f'  "drone 8,*@lab" valid-after="20260101Z",Valid-Before="20270101120000Z" {LINE}\n'
        f'!drone-9,drone-*\t{LINE}'
    )
    first, second, third = parse_allowed_signers(text)
    assert (first.line, first.principals, first.comment) == (3, 'drone-7', 'of the red one')
    assert first.key == KEY.public
    assert first.is_authority
    assert first.allows('fdr-seal')
    assert not first.allows('git')
    assert first.fingerprint.startswith('SHA256:')
    assert second.is_for('drone 8')
    assert second.is_for('me@lab')
    assert not second.is_authority
    assert second.allows('git')
    assert [second.holds_at(t) for t in (1767225599, 1767225600, 1798804800, 1798804801)] == [
        False, True, True, False,
    ]
    assert third.is_for('drone-7')
    assert not third.is_for('drone-9')
    assert trusted_keys((first, second, third), principal='drone-7') == (first, third)
    assert trusted_keys((first, second), namespace='git', utc_s=1767225600) == (second,)


def test_times_without_a_z_are_local() -> None:
    (signer,) = parse_allowed_signers(f'a valid-after="202606151200" {LINE}')
    assert signer.valid_after == datetime(2026, 6, 15, 12, 0).timestamp()  # noqa: DTZ001


MALFORMED = (
    ('drone-7', 'does not begin with a name'),
    (LINE, 'no public key'),
    (f'drone-7 {LINE[:-8]}', 'malformed'),
    (f'drone-7 {LINE.replace("ssh-ed25519", "ssh-rsa", 1)}', 'another type'),
    (f'drone-7 namespaces=fdr-seal {LINE}', 'namespaces=fdr-seal'),
    (f'drone-7 namespaces="fdr-seal {LINE}', 'not known'),
    (f'drone-7 cert-authority,cert-authority {LINE}', 'twice'),
    (f'drone-7 cert-authority,no-touch {LINE}', "'no-touch' is not known"),
    (f'drone-7 cert-authority="yes" {LINE}', 'not known'),
    (f'drone-7 cert-authority, {LINE}', 'not known'),
    (f'drone-7 valid-after="2026" {LINE}', "'2026' is no time"),
    (f'drone-7 valid-after="20261340" {LINE}', 'is no time'),
    (f'drone-7 valid-after="20270101",valid-before="20260101" {LINE}', 'is not before'),
    (f'"drone-7 {LINE}', 'does not begin with a name'),
    (f'drone-7 cert-authority {LINE} \x1b[2J', 'control characters'),
)


@pytest.mark.parametrize('number', range(len(MALFORMED)))  # the key is another each time
def test_a_malformed_line_is_named(number: int, tmp_path: Path) -> None:
    line, said = MALFORMED[number]
    path = tmp_path / 'allowed_signers'
    path.write_text(f'# one\n{line}\n', encoding='utf-8')
    with pytest.raises(SealError) as raised:
        read_allowed_signers(path)
    assert f'{path}: line 2: ' in str(raised.value)
    assert said in str(raised.value)


def test_files_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    binary, large = tmp_path / 'binary', tmp_path / 'large'
    binary.write_bytes(b'a \xff')
    large.write_bytes(b'#' * (1 << 21))
    for path, said in (
        (tmp_path / 'none', 'fdr keys show KEY'),
        (tmp_path, 'is not a file'),
        (binary, 'it is not UTF-8'),
        (large, 'is too large'),
    ):
        with pytest.raises(SealError, match=said):
            read_allowed_signers(path)


@given(st.text())
def test_whatever_stands_in_a_line_one_error_comes_out(text: str) -> None:
    for line in (text, f'a {text} {LINE}', f'a namespaces="{text}" {LINE}', f'{text} {LINE}'):
        try:
            for signer in parse_allowed_signers(line):
                assert signer.key == KEY.public
        except SealError as error:
            assert str(error).startswith('line ')  # noqa: PT017


def test_hostile_patterns_and_options_take_no_time() -> None:
    began = time.monotonic()
    assert not matches('a' * 2000 + 'b', '*a' * 2000)
    for options in ('namespaces="' + '\\"' * 100_000, 'a,' * 100_000, '"' * 200_000):
        with pytest.raises(SealError):
            parse_allowed_signers(f'a {options} {LINE}')
    with pytest.raises(SealError):
        parse_allowed_signers('\t ' * 300_000 + 'a' * 300_000)
    assert time.monotonic() - began < 10.0


SIGNS = 'ab*?!,"\\ \t='


@pytest.fixture(scope='module')
def signature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('signature') / 'signature'
    path.write_text(sshsig.sign(KEY, 'ab', b'text'), encoding='utf-8')
    return path


@needs_openssh
@settings(max_examples=150)
@given(
    principals=st.text(SIGNS, min_size=1, max_size=6),
    options=st.sampled_from(['', 'namespaces="{}" ', 'namespaces="{}",valid-after="20200101" ']),
    namespaces=st.text(SIGNS, max_size=6),
)
def test_ssh_keygen_trusts_the_same_lines(
    principals: str, options: str, namespaces: str, signature: Path
) -> None:
    line = f'{principals} {options.format(namespaces)}{LINE}'
    allowed = signature.with_name('allowed_signers')
    allowed.write_text(f'{line}\n', encoding='utf-8')
    done = subprocess.run(
        ['ssh-keygen', '-Y', 'verify', '-f', allowed, '-I', 'ab', '-n', 'ab', '-s', signature],
        input=b'text',
        capture_output=True,
        check=False,
        timeout=60,
    )
    try:
        lines = parse_allowed_signers(line)
    except SealError:
        lines = ()
    ours = bool(trusted_keys(lines, principal='ab', namespace='ab'))
    if ours:  # what we trust, it trusts; what it reads more leniently than we do is told
        assert done.returncode == 0, line
    elif lines:
        assert done.returncode != 0, line
