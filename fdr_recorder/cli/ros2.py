"""`ros2 fdr`: the verbs of `fdr` as a command of ros2cli. The one module that imports it."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ros2cli.command import CommandExtension

from fdr_recorder.cli.main import add_verbs, run
from fdr_recorder.cli.verb import EXIT_REFUSED


class FdrCommand(CommandExtension):  # type: ignore[misc]
    """Look after the flights that the FDR Recorder has recorded."""

    def add_arguments(self, parser: ArgumentParser, cli_name: str) -> None:
        """Add the verbs; called by ros2cli."""
        self._parser = parser
        add_verbs(parser)

    def main(self, *, parser: ArgumentParser, args: Namespace) -> int:
        """Run a verb; called by ros2cli."""
        if args.verb is None:
            self._parser.print_help()
            return EXIT_REFUSED
        return run(args)
