# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""
Files of allowed signers, as `ssh-keygen -Y verify` reads them: whose keys are trusted for what.

A line is `PRINCIPALS [OPTIONS] TYPE BASE64 [COMMENT]`, see ALLOWED SIGNERS in ssh-keygen(1). One
that ssh-keygen would pass over as malformed is an error here: somebody meant it to count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
import re
from typing import Final

from fdr_recorder.errors import SealError
from fdr_recorder.seal.keys import check_key, KEY_TYPES
from fdr_recorder.seal.openssh import (
    fingerprint,
    has_control_characters,
    key_text,
    key_type,
    parse_key,
)
from fdr_recorder.seal.private_files import read_small_file

MAX_FILE_BYTES: Final = 1 << 20
"""A larger file is refused."""

NAMESPACES: Final = ('fdr-flight', 'fdr-seal')
"""What the keys that an identity key certifies sign."""

_PRINCIPALS: Final = re.compile(r'(?:"([^"]*)"|([^\s"#][^\s"]*))[ \t]+')
_OPTION: Final = re.compile(r'([A-Za-z-]+)(?:="((?:[^"\\]|\\"|\\(?!"))*)")?')
_TIME: Final = re.compile(r'(\d{8})(?:(\d{4})(\d{2})?)?(Z?)')
_FLAG: Final = 'cert-authority'
_VALUES: Final = ('namespaces', 'valid-after', 'valid-before')


@dataclass(frozen=True, kw_only=True)
class AllowedSigner:
    """
    A line.

    Attributes:
        line: Its number in the file, from 1.
        principals: Patterns of names, separated by commas.
        key: The public key, as a blob.
        is_authority: Whether certificates by this key are meant (`cert-authority`).
        namespaces: Patterns of what its signatures may be for, separated by commas; None: for
            anything.
        valid_after: From when on it may sign, in seconds since 1970; None: from ever.
        valid_before: Up to when; None: forever.
        comment: What stands behind the key.

    """

    line: int
    principals: str
    key: bytes
    is_authority: bool = False
    namespaces: str | None = None
    valid_after: int | None = None
    valid_before: int | None = None
    comment: str = ''

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of its key."""
        return fingerprint(self.key)

    def is_for(self, principal: str) -> bool:
        """Return whether it names somebody."""
        return matches(principal, self.principals)

    def allows(self, namespace: str) -> bool:
        """Return whether its signatures may be for something."""
        return self.namespaces is None or matches(namespace, self.namespaces)

    def holds_at(self, utc_s: float) -> bool:
        """Return whether it may sign at a time, in seconds since 1970."""
        after, before = self.valid_after, self.valid_before
        return (after is None or after <= utc_s) and (before is None or utc_s <= before)


def read_allowed_signers(path: Path) -> tuple[AllowedSigner, ...]:
    """
    Read a file.

    Raises:
        SealError: It cannot be read, or a line is malformed; the message names it.

    """
    advice = 'name a file of allowed signers; `fdr keys show KEY` prints a line for it'
    data, _ = read_small_file(path, advice, limit=MAX_FILE_BYTES)
    try:
        return parse_allowed_signers(data.decode())
    except UnicodeDecodeError:
        raise SealError(f'{path} is no file of allowed signers: it is not UTF-8') from None
    except SealError as error:
        raise SealError(f'{path}: {error}') from None


def parse_allowed_signers(text: str) -> tuple[AllowedSigner, ...]:
    """
    Read the text of a file.

    Raises:
        SealError: A line is malformed; the message has its number.

    """
    found = []
    for number, line in enumerate(text.split('\n'), start=1):
        line = line.strip(' \t\r')
        if line and not line.startswith('#'):
            try:
                found.append(_parse_line(number, line))
            except SealError as error:
                raise SealError(f'line {number}: {error}') from None
    return tuple(found)


def line_for(principal: str, key: bytes) -> str:
    """
    Return the line by which an identity key is trusted for flights, by ssh-keygen as well.

    Args:
        principal: The vehicle.
        key: Its public identity key, as a blob.

    Raises:
        SealError: The name would mean something else there.

    """
    if not principal or set(principal) & set('*?!,"\\') or has_control_characters(principal):
        raise SealError(
            f'{principal!r} cannot name a vehicle among allowed signers: no * ? ! , " or \\ '
            'there; the recorder writes - instead'
        )
    name = f'"{principal}"' if ' ' in principal or principal.startswith('#') else principal
    return f'{name} {_FLAG},namespaces="{",".join(NAMESPACES)}" {key_text(key)}'


def matches(text: str, patterns: str) -> bool:
    """
    Return whether a text matches a list of patterns, separated by commas.

    `*` stands for any characters, `?` for one. If a pattern with `!` in front matches, the text
    does not.
    """
    found = False
    for pattern in patterns.split(','):
        if _matches_one(text, pattern.removeprefix('!')):
            if pattern.startswith('!'):
                return False
            found = True
    return found


def trusted_keys(
    signers: Iterable[AllowedSigner],
    *,
    principal: str | None = None,
    namespace: str | None = None,
    utc_s: float | None = None,
) -> tuple[AllowedSigner, ...]:
    """
    Return the lines that count.

    Args:
        signers: All lines.
        principal: For whom; None for anybody.
        namespace: For what; None for anything.
        utc_s: When, in seconds since 1970; None for any time.

    """
    return tuple(
        signer
        for signer in signers
        if (principal is None or signer.is_for(principal))
        and (namespace is None or signer.allows(namespace))
        and (utc_s is None or signer.holds_at(utc_s))
    )


def _matches_one(text: str, pattern: str) -> bool:
    """Match as a shell does; in time that grows with the product of both lengths at most."""
    at, place = 0, 0
    star, resume = -1, 0
    while at < len(text):
        if place < len(pattern) and pattern[place] == '*':
            star, resume = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in ('?', text[at]):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at, place = resume, star + 1
        else:
            return False
    return not pattern[place:].strip('*')


def _parse_line(number: int, line: str) -> AllowedSigner:
    if has_control_characters(line.replace('\t', ' ')):
        raise SealError('it has control characters')
    match = _PRINCIPALS.match(line)
    principals = match and (match[1] or match[2])
    if match is None or not principals:
        raise SealError('it does not begin with a name, such as drone-7')
    rest = line[match.end():]
    option = _OPTION.match(rest)
    if option is None or option[1].lower() not in (_FLAG, *_VALUES):
        return _signer(number, principals, rest, {})
    end = _end_of_options(rest)
    options = _parse_options(rest[:end])
    return _signer(number, principals, rest[end:].lstrip(' \t'), options)


def _signer(number: int, principals: str, key: str, options: dict[str, str]) -> AllowedSigner:
    after, before = (
        _parse_time(options[name]) if name in options else None
        for name in ('valid-after', 'valid-before')
    )
    if after is not None and before is not None and after >= before:
        raise SealError('valid-after is not before valid-before')
    blob = parse_key(key)
    if key_type(blob) in KEY_TYPES:  # one of another type stays, and signs nothing here
        check_key(blob)
    return AllowedSigner(
        line=number,
        principals=principals,
        key=blob,
        is_authority=_FLAG in options,
        namespaces=options.get('namespaces'),
        valid_after=after,
        valid_before=before,
        comment=' '.join(key.split()[2:]),
    )


def _end_of_options(text: str) -> int:
    """Return where the first blank outside of quotes is."""
    is_quoted = False
    at = 0
    while at < len(text) and (is_quoted or text[at] not in ' \t'):
        if text.startswith('\\"', at):
            at += 1
        elif text[at] == '"':
            is_quoted = not is_quoted
        at += 1
    return at


def _parse_options(text: str) -> dict[str, str]:
    options: dict[str, str] = {}
    at = 0
    while True:
        match = _OPTION.match(text, at)
        name = match[1].lower() if match else ''
        is_known = match and (name == _FLAG if match[2] is None else name in _VALUES)
        if match is None or not is_known or name in options:
            raise SealError(f'the option {text[at:][:40]!r} is not known, or stands there twice')
        options[name] = (match[2] or '').replace('\\"', '"')
        if match.end() == len(text):
            return options
        if text[match.end()] != ',':
            raise SealError('a comma is missing between options')
        at = match.end() + 1


def _parse_time(text: str) -> int:
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        day, minutes, seconds, is_utc = match.groups()
        digits = f'{day}{minutes or "0000"}{seconds or "00"}'
        moment = datetime.strptime(digits, '%Y%m%d%H%M%S')  # noqa: DTZ007 - local without Z
        if is_utc:
            moment = moment.replace(tzinfo=timezone.utc)
        return int(moment.timestamp())
    except (ValueError, OverflowError, OSError):
        raise SealError(f'{text!r} is no time: YYYYMMDD or YYYYMMDDHHMM[SS], Z for UTC') from None
