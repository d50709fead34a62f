"""config/recorder.yaml: every option, with its default and what is said about it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from fdr_recorder import FdrConfig
from fdr_recorder.config import OPTIONS

FILE = Path(__file__).resolve().parents[1] / 'config' / 'recorder.yaml'


def flatten(tree: dict[str, Any], prefix: str = '') -> dict[str, Any]:
    """Return values by dotted name, as ROS 2 reads nested parameters."""
    values: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            values |= flatten(value, f'{prefix}{name}.')
        else:
            values[prefix + name] = value
    return values


def read_values() -> dict[str, Any]:
    content = yaml.safe_load(FILE.read_text(encoding='utf-8'))
    assert list(content) == ['/**']  # any node name, in any namespace
    assert list(content['/**']) == ['ros__parameters']
    return flatten(content['/**']['ros__parameters'])


def read_comments() -> list[tuple[str, str]]:
    """Return name and comment of each option, in the order of the file."""
    found: list[tuple[str, str]] = []
    group, comment = '', ''
    for line in FILE.read_text(encoding='utf-8').splitlines():
        said = re.fullmatch(r' +# (.*)', line)
        named = re.match(r'( {4}| {6})(\w+):', line)
        if said:
            comment = f'{comment} {said[1]}'.lstrip()
            continue
        if named and line.endswith(':'):
            group = f'{named[2]}.'
        elif named:
            found.append((group * (len(named[1]) == 6) + named[2], comment))
        comment = ''
    return found


def test_it_has_every_option_once_and_no_other() -> None:
    assert [name for name, _ in read_comments()] == list(read_values())
    assert set(read_values()) == set(OPTIONS)


def test_its_values_are_the_defaults() -> None:
    values = read_values()
    assert FdrConfig.from_options(values) == FdrConfig()
    assert FdrConfig.from_options(values).to_options() == FdrConfig().to_options()


@pytest.mark.parametrize('name', OPTIONS)
def test_a_value_is_spelled_so_that_ros_reads_the_right_type(name: str) -> None:
    default, _ = OPTIONS[name]
    value = read_values()[name]
    if isinstance(default, tuple):
        assert value == (list(default) or [''])  # ROS 2 reads [] as no value at all
    else:
        assert type(value) is type(default)  # 1 is no double, and 1.0 no integer


@pytest.mark.parametrize('name', OPTIONS)
def test_its_comment_begins_with_the_description_and_names_the_choices(name: str) -> None:
    _, option = OPTIONS[name]
    comment = dict(read_comments())[name]
    assert comment.startswith(option.description)
    assert all(choice in comment for choice in option.choices)
