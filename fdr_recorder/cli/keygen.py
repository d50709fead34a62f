# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""`fdr keygen`: make an identity key for a vehicle."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final

from fdr_recorder.cli.console import print_json, say
from fdr_recorder.cli.exit_codes import EXIT_OK
from fdr_recorder.cli.passphrases import new_passphrase

DEFAULT_KEY: Final = '~/.ssh/fdr_identity'
SUMMARY: Final = 'Make an identity key, with which a vehicle seals its flights'
EXAMPLES: Final = """\
  fdr keygen                                      make ~/.ssh/fdr_identity
  fdr keygen drone-7.key --principal drone-7      for a vehicle of that vehicle_id
  fdr keygen drone-8.key --json                   without words

It is an Ed25519 key in a file of OpenSSH, which ssh-keygen, ssh-add and ssh-agent take; keys that
ssh-keygen makes will do as well. A file that is there is never overwritten. On a terminal a
passphrase is asked for; without one the file alone is enough to seal in the vehicle's name.

This needs cryptography and bcrypt: pip install 'fdr_recorder[seal]'.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add file, name and passphrase."""
    parser.add_argument(
        'file',
        nargs='?',
        metavar='FILE',
        help=f'the private key; FILE.pub is the public one (default: {DEFAULT_KEY})',
    )
    add_principal(parser)
    parser.add_argument(
        '--passphrase-file',
        type=Path,
        metavar='FILE',
        help='encrypt the key with the first line of this file, and ask nothing',
    )


def add_principal(parser: argparse.ArgumentParser) -> None:
    """Add the vehicle's name."""
    parser.add_argument(
        '--principal',
        metavar='NAME',
        help="the vehicle, in the line for allowed_signers: the recorder's vehicle_id (default: "
        'the name of this computer, as the recorder has it without vehicle_id)',
    )


def principal_of(args: argparse.Namespace) -> str:
    """Return the vehicle's name."""
    return str(args.principal or os.uname().nodename)


def say_line(args: argparse.Namespace, line: str) -> None:
    """Say the line for `allowed_signers`, and whose name is in it if nobody has given one."""
    say(f'\nFor whoever checks flights, in a file allowed_signers:\n{line}')
    if not args.principal:
        say(
            'The name is that of this computer, as the recorder takes it without vehicle_id; '
            '--principal gives another.'
        )


def run(args: argparse.Namespace) -> int:
    """Make the key."""
    from fdr_recorder.seal.allowed_signers import line_for
    from fdr_recorder.seal.identity import expanded
    from fdr_recorder.seal.key_files import make_key_file
    from fdr_recorder.seal.keys import SessionKey
    from fdr_recorder.seal.openssh import fingerprint, key_text

    path = expanded(args.file or DEFAULT_KEY).absolute()
    principal = principal_of(args)
    line_for(principal, SessionKey.generate().public)  # a wrong name is told before a key is made
    passphrase = new_passphrase(args.passphrase_file)
    public = make_key_file(path, passphrase, principal)
    line = line_for(principal, public)
    parameters = {'seal.key_file': str(path)}
    if passphrase:
        file = args.passphrase_file
        parameters['seal.passphrase_file'] = str(file.absolute()) if file else '/PATH/TO/FILE'
    if args.json:
        print_json(
            'keygen',
            {
                'path': str(path),
                'public_path': f'{path}.pub',
                'is_encrypted': bool(passphrase),
                'fingerprint': fingerprint(public),
                'public_key': key_text(public),
                'principal': principal,
                'allowed_signers': line,
                'parameters': [
                    {'name': name, 'value': value} for name, value in parameters.items()
                ],
            },
        )
        return EXIT_OK
    state = 'encrypted' if passphrase else 'not encrypted: who can read the file can seal with it'
    say(f'{path}: {fingerprint(public)} ({state})')
    say(f'{path}.pub: the public key')
    say_line(args, line)
    say('\nFor the recorder, in its parameter file below ros__parameters:')
    for name, value in parameters.items():
        quoted = value.replace("'", "''")
        say(f"{name}: '{quoted}'")
    return EXIT_OK
