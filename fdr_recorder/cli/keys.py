# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""`fdr keys`: look at identity keys, and replace one."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final, TYPE_CHECKING

from fdr_recorder.cli.console import print_json, say, table
from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.keygen import add_principal, principal_of, say_line
from fdr_recorder.cli.passphrases import passphrase_of
from fdr_recorder.errors import UsageError
from fdr_recorder.units import format_time, NS_PER_S, plural

if TYPE_CHECKING:
    from fdr_recorder.seal.allowed_signers import AllowedSigner

SUMMARY: Final = 'Show identity keys and whose keys are trusted, or replace a key'
EXAMPLES: Final = """\
  fdr keys list allowed_signers                   whose keys are trusted, and for what
  fdr keys show ~/.ssh/fdr_identity               fingerprint, and the line for allowed_signers
  fdr keys show ~/.ssh/fdr_identity.pub --principal drone-7
  fdr keys rotate ~/.ssh/fdr_identity             a new key; the old one signs that it is next

After `rotate` the recorder goes on with the same seal.key_file. The old key stays beside it as
KEY.old-TIME, and what it has signed in KEY.rotations: flights carry that, so whoever trusts the
old key can check new flights. Take the old key off the vehicle then. With `--to` both keys stay
where they are, for keys in ssh-agent or in FIDO tokens.

This needs cryptography and bcrypt: pip install 'fdr_recorder[seal]'.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what to do, with which file."""
    parser.add_argument(
        'action',
        choices=('list', 'show', 'rotate'),
        metavar='ACTION',
        help='list (of FILE, allowed signers), show (the key in FILE), rotate (replace it)',
    )
    parser.add_argument('file', type=Path, metavar='FILE', help='allowed signers, or a key')
    add_principal(parser)
    parser.add_argument(
        '--passphrase-file',
        type=Path,
        metavar='FILE',
        help='its first line is the passphrase of the key; the new one gets the same',
    )
    parser.add_argument(
        '--to',
        type=Path,
        metavar='NEW',
        help='rotate to this key, or public key, which exists already',
    )


def run(args: argparse.Namespace) -> int:
    """Show or replace keys."""
    if args.to is not None and args.action != 'rotate':
        raise UsageError('--to goes with rotate')
    if args.action == 'list' and (args.principal or args.passphrase_file):
        raise UsageError('list takes a file of allowed signers alone')
    from fdr_recorder.seal.identity import expanded

    action = {'list': _list, 'show': _show, 'rotate': _rotate}[args.action]
    return action(expanded(args.file), args)


def _list(path: Path, args: argparse.Namespace) -> int:
    from fdr_recorder.seal.allowed_signers import read_allowed_signers
    from fdr_recorder.seal.openssh import key_type

    signers = read_allowed_signers(path)
    if args.json:
        _print_json(args, path, [_signer_document(signer) for signer in signers], [])
        return EXIT_OK
    rows = [
        (
            str(signer.line),
            signer.principals,
            key_type(signer.key),
            signer.fingerprint,
            'anything' if signer.namespaces is None else signer.namespaces.replace(',', ', '),
            _remarks(signer),
        )
        for signer in signers
    ]
    if rows:
        table(('>line', '&vehicle', '~type', 'fingerprint', '&for', '&remarks'), rows)
        print()
    say(f'{plural(len(rows), "key")} in {path}')
    return EXIT_OK


def _remarks(signer: AllowedSigner) -> str:
    remarks = ['and keys that it certifies'] if signer.is_authority else []
    if signer.valid_after is not None:
        remarks.append(f'from {format_time(signer.valid_after * NS_PER_S)}')
    if signer.valid_before is not None:
        remarks.append(f'to {format_time(signer.valid_before * NS_PER_S)}')
    return ', '.join((*remarks, *filter(None, [signer.comment])))


def _signer_document(signer: AllowedSigner) -> dict[str, Any]:
    return {
        'principals': signer.principals,
        'line': signer.line,
        **_key_document(signer.key),
        'is_authority': signer.is_authority,
        'namespaces': None if signer.namespaces is None else signer.namespaces.split(','),
        'valid_after_ns': _ns(signer.valid_after),
        'valid_before_ns': _ns(signer.valid_before),
        'comment': signer.comment,
    }


def _ns(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * NS_PER_S


def _key_document(public: bytes) -> dict[str, Any]:
    from fdr_recorder.seal.openssh import fingerprint, key_text, key_type

    return {
        'fingerprint': fingerprint(public),
        'type': key_type(public),
        'public_key': key_text(public),
    }


def _show(path: Path, args: argparse.Namespace) -> int:
    from fdr_recorder.seal.identity import read_public

    _tell_key(args, path, read_public(path))
    return EXIT_OK


def _rotate(path: Path, args: argparse.Namespace) -> int:
    from fdr_recorder.seal.allowed_signers import line_for
    from fdr_recorder.seal.identity import expanded, read_public
    from fdr_recorder.seal.key_files import rotate_key_file, rotate_to

    line_for(principal_of(args), read_public(path))  # a wrong name is told before anything is done
    passphrase = passphrase_of(path, args.passphrase_file)
    if args.to is not None:
        rotated = rotate_to(path, passphrase, expanded(args.to))
        step = (
            f"Set the recorder's seal.key_file to {rotated.path}; the statement of the old key "
            'lies beside it.'
        )
    else:
        rotated = rotate_key_file(path, passphrase, principal_of(args))
        step = (
            f'The old key is {rotated.kept} now. Take it off the vehicle: whoever has it can name '
            'another key as the next one.'
        )
    _tell_key(args, rotated.path, rotated.public, rotated.kept, step)
    return EXIT_OK


def _tell_key(
    args: argparse.Namespace, path: Path, public: bytes, kept: Path | None = None, step: str = ''
) -> None:
    """Tell of a key, and, after a rotation, where the old one is and what to do next."""
    from fdr_recorder.seal.allowed_signers import line_for
    from fdr_recorder.seal.identity import read_rotations
    from fdr_recorder.seal.openssh import fingerprint, key_type
    from fdr_recorder.seal.rotation import rotations_to

    principal = principal_of(args)
    line = line_for(principal, public)
    rotations = [
        {'old': fingerprint(one.old), 'new': fingerprint(one.new), 'at': one.at}
        for one in rotations_to(public, read_rotations(path))
    ]
    if args.json:
        key = {'principals': principal, **_key_document(public), 'allowed_signers': line}
        _print_json(args, path, [key], rotations, kept)
        return
    say(f'{path}: {key_type(public)} {fingerprint(public)}')
    for one in rotations:
        say(f'  {one["at"]}: {one["new"]} came after {one["old"]}')
    say_line(args, line)
    if step:
        say(
            f'\n{step} Whoever trusts the old key trusts this one, too; if the old one may have '
            'been stolen, its line must go.'
        )


def _print_json(
    args: argparse.Namespace,
    path: Path,
    keys: list[dict[str, Any]],
    rotations: list[dict[str, str]],
    kept: Path | None = None,
) -> None:
    said = {
        'action': args.action,
        'path': str(path),
        'keys': keys,
        'rotations': rotations,
        'kept': str(kept) if kept else None,
    }
    print_json('keys', said)
