# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""Passphrases: out of a file, or asked for on a terminal."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
import sys
from typing import TYPE_CHECKING

from fdr_recorder.errors import UsageError

if TYPE_CHECKING:
    from fdr_recorder.seal.identity import Identity


def new_passphrase(file: Path | None) -> bytes | None:
    """
    Return the passphrase for a new key; None for none.

    Args:
        file: Has it in its first line; None: it is asked for, twice, if stdin is a terminal.

    Raises:
        UsageError: The two are not the same.
        SealError: The file cannot be read.

    """
    if file is not None:
        return _of_file(file)
    if not sys.stdin.isatty():
        return None
    first = _ask('passphrase for the new key (empty for none): ')
    if first and _ask('the same again: ') != first:
        raise UsageError('the two passphrases differ; nothing was made')
    return first or None


def passphrase_of(key: Path, file: Path | None) -> bytes | None:
    """
    Return the passphrase of a key; None if there is none to give.

    Args:
        key: The private key's file. Only if it is encrypted its passphrase is asked for.
        file: Has it in its first line; None: it is asked for if stdin is a terminal.

    Raises:
        SealError: A file cannot be read.

    """
    from fdr_recorder.seal.identity import is_encrypted

    if file is not None:
        return _of_file(file)
    if not sys.stdin.isatty() or not is_encrypted(key):
        return None
    return _ask(f'passphrase of {key}: ') or None


def add_key(parser: argparse.ArgumentParser, purpose: str) -> None:
    """Add the option for a key, and its passphrase."""
    parser.add_argument(
        '--key',
        type=Path,
        metavar='KEY',
        help=f'identity key, or .pub of one in ssh-agent, that {purpose}',
    )
    parser.add_argument(
        '--passphrase-file',
        type=Path,
        metavar='FILE',
        help='its first line is the passphrase of the key',
    )


def identity_for(args: argparse.Namespace) -> Callable[[], Identity | None]:
    """
    Return what loads the key that is named, which is tried at once; it loads None without one.

    Raises:
        UsageError: There is a passphrase and no key.
        SealError: The key cannot be used.
        ExtraMissingError: A library that it needs is not installed.

    """
    if args.key is None:
        if args.passphrase_file is not None:
            raise UsageError('--passphrase-file goes with --key')
        return lambda: None
    from fdr_recorder.seal.identity import load_identity

    passphrase = passphrase_of(args.key, args.passphrase_file)
    load_identity(args.key, passphrase).close()
    return lambda: load_identity(args.key, passphrase)


def _of_file(file: Path) -> bytes | None:
    from fdr_recorder.seal.identity import read_passphrase

    return read_passphrase(file)


def _ask(prompt: str) -> bytes:
    from getpass import getpass

    try:
        return getpass(prompt).encode()
    except EOFError:
        raise UsageError('no passphrase was given; nothing was done') from None
