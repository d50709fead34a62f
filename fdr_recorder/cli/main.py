# PYTHON_ARGCOMPLETE_OK
# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The program `fdr`: runs a verb, and turns its errors into words and exit codes."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from importlib import import_module
from io import TextIOWrapper
import os
import sys
from typing import cast, Final, NoReturn

from fdr_recorder.cli.console import warn
from fdr_recorder.cli.exit_codes import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, EXIT_REFUSED
from fdr_recorder.cli.permissions import why_refused
from fdr_recorder.cli.verb import Verb
from fdr_recorder.errors import FdrError
from fdr_recorder.interrupts import ended_by_interrupt, interruptible
from fdr_recorder.version import __version__

VERBS: Final = (
    'ls', 'info', 'verify', 'recover', 'export', 'cat', 'tail', 'top', 'report', 'play', 'check',
    'pin', 'unpin', 'prune', 'offload', 'keygen', 'keys', 'fleet',
)
"""In the order of the help; each is a module of this package."""

_ALIASES: Final = {'export': ('cut',)}
"""Other names of verbs."""

_DESCRIPTION: Final = 'Work with flights that the FDR Recorder has recorded.'
_EPILOG: Final = f"""\
exit codes:
  0    done, nothing found
  1, 2 done, something found: see the help of the verb
  {EXIT_REFUSED}    not done: stderr says why
  {EXIT_INTERRUPTED}  interrupted

shell completion:  eval "$(register-python-argcomplete fdr)"
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors exit with 3: argparse's own 2 means a finding here."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message, and end with `EXIT_REFUSED`."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_REFUSED, f'{self.prog}: {message}\n')


def add_verbs(
    parser: argparse.ArgumentParser,
    verbs: Sequence[str] = VERBS,
    package: str = 'fdr_recorder.cli',
    words: Sequence[str] | None = None,
) -> None:
    """
    Add verbs to a parser: that of `fdr`, of `ros2`, or of a verb that has verbs of its own.

    Where the words of the command line are given, only the verbs among them get their arguments:
    those of all take 8 ms.
    """
    parsers = parser.add_subparsers(
        title='verbs', metavar='VERB', required=verbs is not VERBS, parser_class=Parser
    )
    for name in verbs:
        module = f'{package}.{name}'
        verb = cast('Verb', import_module(module))
        verb_parser = parsers.add_parser(
            name,
            aliases=_ALIASES.get(name, ()),
            help=verb.SUMMARY,
            description=f'{verb.SUMMARY}.',
            epilog=f'examples:\n{verb.EXAMPLES}',
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if words is not None and not {name, *_ALIASES.get(name, ())}.intersection(words):
            continue
        if own := getattr(verb, 'VERBS', ()):
            verb_parser.set_defaults(may_be_killed=getattr(verb, 'MAY_BE_KILLED', False))
            add_verbs(verb_parser, own, module, words)
            continue
        verb.add_arguments(verb_parser)
        verb_parser.add_argument(
            '--json', action='store_true', help='print the result as one JSON document'
        )
        verb_parser.set_defaults(run=verb.run)


def run(args: argparse.Namespace) -> int:
    """Run the verb; return the exit code. Errors that a user can cause are printed here."""
    try:
        code = interruptible(lambda: _run_verb(args))
    except KeyboardInterrupt:
        _abandon_output()
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        _abandon_output()
        return EXIT_BROKEN_PIPE
    except FdrError as error:
        warn(str(error))
        return EXIT_REFUSED
    except OSError as error:
        warn(why_refused(error))
        return EXIT_REFUSED
    return code


def _run_verb(args: argparse.Namespace) -> int:
    may_be_killed = getattr(args, 'may_be_killed', False)
    with ended_by_interrupt(EXIT_INTERRUPTED) if may_be_killed else nullcontext():
        code = cast('int', args.run(args))
    sys.stdout.flush()
    return code


def _abandon_output() -> None:
    """Redirect stdout to /dev/null: what Python flushes at exit must not block or fail."""
    with suppress(OSError, ValueError):  # stdout is closed, or is not a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run `fdr`; return the exit code.

    Args:
        arguments: What follows `fdr`; None for those of this process.

    """
    arguments = sys.argv[1:] if arguments is None else arguments
    parser = Parser(
        prog='fdr',
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--version', action='version', version=f'fdr {__version__}')
    is_completion = '_ARGCOMPLETE' in os.environ
    add_verbs(parser, words=None if is_completion else arguments)
    if isinstance(sys.stdout, TextIOWrapper):  # of an encoding that lacks signs of a name
        sys.stdout.reconfigure(errors='replace')
    if is_completion:
        import argcomplete

        argcomplete.autocomplete(parser)
    args = parser.parse_args(arguments)
    if 'run' not in args:
        parser.print_help(sys.stderr)
        return EXIT_REFUSED
    return run(args)
