# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.


"""The command line of a node: `--help`, ROS arguments, and mistakes in them."""

from __future__ import annotations

from collections.abc import Sequence
import json
from textwrap import TextWrapper

from fdr_recorder.config import wrong_metadata
from fdr_recorder.config_base import Configuration, Options
from fdr_recorder.parameter_file import mistakes_in_files, parameter_files
from fdr_recorder.quick_dataclass import dataclass


@dataclass(frozen=True)
class CommandLine:
    """
    The command line of a program that runs one node.

    Attributes:
        program: Name of the executable.
        node: Name of the node.
        description: What it does, and examples.
        config: The parameters.

    """

    program: str
    node: str
    description: str
    config: type[Configuration]

    def check(self, arguments: Sequence[str]) -> None:
        """
        Answer `--help` with the parameters, and refuse arguments that are not for ROS.

        Raises:
            SystemExit: Help was printed (0), or an argument is unknown (2).

        """
        _, others = split_arguments(arguments)
        if others:
            self._check(others)

    def _check(self, others: Sequence[str]) -> None:
        from argparse import (  # noqa: PLC0415 - slow to import, and arguments of ROS go without
            ArgumentParser,
            RawDescriptionHelpFormatter,
        )

        metadata = ' [--metadata KEY=VALUE ...]' if self.takes_metadata else ''
        parser = ArgumentParser(
            prog=self.program,
            usage=f'{self.program} [-h]{metadata} [--ros-args [-p NAME:=VALUE] '
            '[--params-file FILE] ...]',
            description=self.description,
            epilog=f'parameters:\n{_parameters(self.config.options())}',
            formatter_class=RawDescriptionHelpFormatter,
        )
        if self.takes_metadata:
            parser.add_argument('--metadata', metavar='KEY=VALUE', action='append', default=[],
                                help='what is to be known of the flights, e.g. pilot=Ann; '
                                'repeatable; replaces that of a parameter file')
        given, unknown = parser.parse_known_args(others)
        if self.takes_metadata and (wrong := wrong_metadata(tuple(given.metadata))):
            parser.error(f'argument --metadata: {wrong}')
        if unknown:
            text = f'unrecognized arguments: {" ".join(unknown)}'
            parser.error(f'{text}; arguments of ROS follow --ros-args')

    @property
    def takes_metadata(self) -> bool:
        """Whether `--metadata` is one of its arguments."""
        return 'metadata' in self.config.options()

    def for_ros(self, arguments: Sequence[str]) -> list[str]:
        """Return arguments that were checked, as ROS takes them: `--metadata` as a parameter."""
        of_ros, others = split_arguments(arguments)
        if not self.takes_metadata or not any(text.startswith('--metadata') for text in others):
            return [*arguments]
        from argparse import ArgumentParser  # noqa: PLC0415 - slow to import

        parser = ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument('--metadata', action='append', default=[])
        given, others = parser.parse_known_args(others)
        value = json.dumps(given.metadata, ensure_ascii=False)
        return [*others, '--ros-args', *of_ros, '-p', f'metadata:={value}']

    def why_refused(self, arguments: Sequence[str], error: Exception) -> str:
        """Return why ROS refuses arguments: all mistakes in parameter files, else what it says."""
        mistakes = mistakes_in_files(parameter_files(arguments), self.config, self.node)
        return '\n'.join(f'{self.program}: {text}' for text in mistakes or [str(error)])


def split_arguments(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the arguments between `--ros-args` and `--` or the end, and the others."""
    of_ros: list[str] = []
    others: list[str] = []
    into = others
    for argument in arguments:
        if argument == '--ros-args':
            into = of_ros
        elif argument == '--' and into is of_ros:
            into = others
        else:
            into.append(argument)
    return of_ros, others


def _parameters(options: Options) -> str:
    """Return a paragraph for each parameter: name, default, meaning."""
    from shutil import get_terminal_size  # noqa: PLC0415 - slow to import, for help only

    width = min(get_terminal_size().columns, 100)
    wrapper = TextWrapper(width, initial_indent=' ' * 6, subsequent_indent=' ' * 6)
    lines = []
    for name, (default, option) in options.items():
        value = list(default) if isinstance(default, tuple) else default
        lines.append(f'  {name}  (default: {value!r})'.replace("''", 'empty'))
        lines += wrapper.wrap(option.description)
    return '\n'.join(lines)
