# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Statements by which an identity key names the next one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from fdr_recorder.errors import SealError
from fdr_recorder.seal.identity import load_identity, rotations_path
from fdr_recorder.seal.keys import SessionKey
from fdr_recorder.seal.openssh import key_text
from fdr_recorder.seal.rotation import (
    decode_rotation,
    NAMESPACE,
    parse_rotation,
    parse_rotations,
    rotate,
    Rotation,
    rotations_to,
    trusted_ancestor,
)
from hypothesis import given
from hypothesis import strategies as st
import pytest
from ssh_tools import is_accepted, keygen, make_key, needs_openssh, public_line

AT = '2026-11-28T16:00:00.000000Z'


def chain_of(*keys: SessionKey) -> list[Rotation]:
    return [rotate(old, new.public, AT) for old, new in pairwise(keys)]


@needs_openssh
def test_ssh_keygen_accepts_a_statement_and_makes_one(tmp_path: Path) -> None:
    old, new = make_key(tmp_path / 'old', 'ecdsa-256'), make_key(tmp_path / 'new')
    with load_identity(old) as identity, load_identity(new) as after:
        made = rotate(identity, after.public, AT)
    statement, begins, rest = made.text.partition('-----BEGIN')
    assert is_accepted(
        tmp_path, begins + rest, NAMESPACE, statement.encode(), f'drone-7 {public_line(old)}'
    )
    by_hand = tmp_path / 'statement'
    by_hand.write_text(statement, encoding='utf-8')
    keygen('-q', '-Y', 'sign', '-n', NAMESPACE, '-f', old, by_hand)
    text = statement + (tmp_path / 'statement.sig').read_text(encoding='utf-8')
    assert parse_rotation(text).new == made.new
    keygen('-q', '-Y', 'sign', '-n', NAMESPACE, '-f', new, by_hand, stdin=b'y\n')
    forged = statement + (tmp_path / 'statement.sig').read_text(encoding='utf-8')
    with pytest.raises(SealError, match='not signed by the old key'):
        parse_rotation(forged)


def test_trust_follows_statements_forward_only() -> None:
    keys = [SessionKey.generate() for _ in range(4)]
    first, second, third, stranger = (key.public for key in keys)
    statements = chain_of(*keys[:3])
    assert trusted_ancestor(third, {first}, statements) == first
    assert trusted_ancestor(third, {first, second}, statements) == second
    assert trusted_ancestor(first, {first}, ()) == first
    assert trusted_ancestor(third, {first}, statements[1:]) is None
    assert trusted_ancestor(first, {third}, statements) is None
    assert trusted_ancestor(stranger, {first}, statements) is None
    in_a_circle = [*statements, rotate(keys[2], first, AT)]
    assert trusted_ancestor(second, {stranger}, in_a_circle) is None


def test_a_file_holds_many_and_those_that_lead_to_a_key_are_found() -> None:
    keys = [SessionKey.generate() for _ in range(4)]
    statements = chain_of(*keys)
    read = parse_rotations(''.join(one.text for one in statements))
    assert list(read) == statements
    assert rotations_to(keys[3].public, read) == read
    assert rotations_to(keys[1].public, read) == read[:1]  # the rest was never carried out
    assert rotations_to(keys[0].public, read) == ()
    again = rotate(keys[1], keys[3].public, AT)
    assert rotations_to(keys[3].public, (read[0], read[1], again)) == (read[0], again)
    assert [decode_rotation(one.encoded) for one in read] == statements
    assert parse_rotations('') == ()


@pytest.fixture(scope='module')
def statements() -> list[Rotation]:
    return chain_of(*(SessionKey.generate() for _ in range(3)))


@given(draw=st.data())
def test_of_changed_statements_none_is_valid(
    draw: st.DataObject, statements: list[Rotation]
) -> None:
    text = statements[0].text
    at = draw.draw(st.integers(0, len(text)))
    end = draw.draw(st.integers(at, min(len(text), at + 5)))
    changed = text[:at] + draw.draw(st.text(max_size=5)) + text[end:]
    if changed != text:
        with pytest.raises(SealError):
            parse_rotation(changed)
        with pytest.raises(SealError):
            decode_rotation(changed)
        if changed:
            with pytest.raises(SealError):
                parse_rotations(changed + statements[1].text)


@needs_openssh
def test_an_identity_tells_from_which_keys_it_comes(tmp_path: Path) -> None:
    path = make_key(tmp_path / 'key')
    before = SessionKey.generate()
    with load_identity(path) as identity:
        assert identity.rotations == ()
        statement = rotate(before, identity.public, AT)
    rotations_path(path).write_text(statement.text, encoding='utf-8')
    with load_identity(path) as identity:
        assert identity.rotations == (statement.encoded,)
        assert identity.warnings == ()
    rotations_path(path).write_text(statement.text[:-9], encoding='utf-8')
    with load_identity(path) as identity:
        assert identity.rotations == ()
        (warning,) = identity.warnings
        assert str(rotations_path(path)) in warning
    assert rotations_path(Path('/etc/key.pub')) == rotations_path(Path('/etc/key'))
    assert key_text(before.public) in statement.text
