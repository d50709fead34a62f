# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The public face: what `from fdr_recorder import ...` gives to people who script."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from contextlib import suppress
import inspect
from pathlib import Path
import pkgutil
import re
import subprocess
import sys
import threading

import fdr_recorder
from fdr_recorder import (
    AlertBoard,
    Channel,
    ConfigInvalidError,
    errors,
    export,
    FdrConfig,
    FdrError,
    FdrWriterConfig,
    FlightExistsError,
    FlightReader,
    FlightRoot,
    flights_in,
    Query,
    read_info,
    record_flight,
    recover,
    Schema,
    verify,
)
from producers import numbered
import pytest

SOURCE = Path(__file__).resolve().parents[1]
PUBLIC = [name for name in fdr_recorder.__all__ if not name.startswith('__')]
DOCUMENTS = [SOURCE / 'README.md', *sorted((SOURCE / 'docs').glob('**/*.md'))]
PYTHON_BLOCK = re.compile(r'^```python\n(.*?)^```', re.MULTILINE | re.DOTALL)


def python(code: str) -> str:
    """Run code in a fresh interpreter; return its output."""
    return subprocess.run(
        [sys.executable, '-c', code], cwd=SOURCE, check=True, capture_output=True, text=True
    ).stdout


# --- names ---------------------------------------------------------------------------------------


def test_dir_lists_the_public_names() -> None:
    assert dir(fdr_recorder) == sorted(fdr_recorder.__all__)


def test_type_checkers_see_the_public_names() -> None:
    seen = set()
    for node in ast.walk(ast.parse(Path(fdr_recorder.__file__).read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('fdr_recorder'):
            names = [(alias.name, alias.asname) for alias in node.names]
            if names == [('*', None)]:
                assert node.module == 'fdr_recorder.errors'
                names = [(name, name) for name in error_classes()]
            assert all(name == as_name for name, as_name in names)  # else it is not exported
            seen |= {name for name, _ in names}
    assert seen == set(fdr_recorder.__all__)


@pytest.mark.parametrize('name', fdr_recorder.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    value = getattr(fdr_recorder, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__name__ == name
        assert value.__module__.startswith('fdr_recorder.')


def test_no_public_name_hides_a_subpackage() -> None:
    modules = {module.name for module in pkgutil.iter_modules(fdr_recorder.__path__)}
    assert not modules & set(fdr_recorder.__all__)
    assert inspect.isfunction(verify)


@pytest.mark.parametrize('name', ['Segment', 'Ring', 'import_module', 'no_such_name'])
def test_other_names_cannot_be_imported(name: str) -> None:
    with pytest.raises(AttributeError, match=f'no attribute {name!r}'):
        getattr(fdr_recorder, name)


def test_the_import_is_lazy() -> None:
    code = 'import sys, fdr_recorder; print(*(m for m in sys.modules if m.startswith("fdr_")))'
    assert python(code).split() == ['fdr_recorder']


def test_the_public_names_need_no_ros() -> None:
    code = 'import sys\nfrom fdr_recorder import *\nprint("rclpy" in sys.modules)'
    assert python(code) == 'False\n'


# --- errors --------------------------------------------------------------------------------------


def error_classes() -> dict[str, type[BaseException]]:
    return {
        name: value
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, BaseException)
    }


def test_the_tree_of_errors_in_the_docstring_is_true() -> None:
    parents: list[str] = []
    told = {}
    for indent, name, also in re.findall(
        r'^( *)- (\w+)(?: \(also an? (\w+)\))?$', errors.__doc__ or '', re.MULTILINE
    ):
        depth = len(indent) // 2
        parents[depth:] = [name]
        bases = {parents[-2] if depth else 'Exception'} | ({also} - {''})
        assert name not in told
        told[name] = bases
    assert told == {
        name: {base.__name__ for base in error.__bases__}
        for name, error in error_classes().items()
    }


def test_every_error_is_public() -> None:
    assert set(error_classes()) <= set(fdr_recorder.__all__)


def test_no_other_module_defines_a_public_error() -> None:
    for path in (SOURCE / 'fdr_recorder').rglob('*.py'):
        if path.name == 'errors.py':
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith('_'):
                bases = {ast.unparse(base) for base in node.bases}
                assert not any(re.search('(Error|Exception)$', base) for base in bases), path


# --- docstrings ----------------------------------------------------------------------------------


def public_callables() -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield public functions, and public methods and properties of public classes."""
    for name in PUBLIC:
        value = getattr(fdr_recorder, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value):
            for method_name, method in vars(value).items():
                function = getattr(method, 'fget', None) or getattr(method, '__func__', method)
                if not method_name.startswith('_') and inspect.isfunction(function):
                    yield f'{name}.{method_name}', function


@pytest.mark.parametrize('name', PUBLIC)
def test_every_public_class_and_function_has_a_docstring(name: str) -> None:
    value = getattr(fdr_recorder, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__doc__
        assert not value.__doc__.startswith(f'{name}(')  # a dataclass without one


def test_every_public_method_has_a_docstring() -> None:
    assert [name for name, function in public_callables() if not function.__doc__] == []


def test_docstrings_of_public_functions_explain_all_parameters() -> None:
    for name, function in public_callables():
        text = function.__doc__ or ''
        if 'Args:' in text:
            parameters = set(inspect.signature(function).parameters) - {'self', 'cls'}
            explained = set(re.findall(r'^ +(\w+): ', text, re.MULTILINE))
            assert parameters <= explained, name


# --- private names -------------------------------------------------------------------------------


def private_names(tree: ast.Module) -> Iterator[str]:
    """Yield private names of other modules that code uses."""
    own = {
        *(node.attr for node in ast.walk(tree) if is_of_self(node)),
        *(
            node.name
            for node in ast.walk(tree)
            if isinstance(node, ast.FunctionDef | ast.ClassDef)
        ),
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or '').startswith('fdr_recorder'):
            names = [*(node.module or '').split('.'), *(alias.name for alias in node.names)]
            yield from filter(is_private, names)
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in own:
            yield node.attr


def is_of_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Attribute) and ast.unparse(node.value) in ('self', 'cls')


def is_private(name: str) -> bool:
    public = ('_asdict', '_exit', '_fields', '_make', '_replace')  # of NamedTuple, and of os
    return name.startswith('_') and not name.endswith('__') and name not in public


@pytest.mark.parametrize('directory', ['bench', 'demo', 'fdr_recorder'])
def test_no_private_name_of_the_package_is_used(directory: str) -> None:
    for path in (SOURCE / directory).rglob('*.py'):
        assert list(private_names(ast.parse(path.read_text()))) == [], path


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_examples_of_the_documentation_use_public_names(path: Path) -> None:
    for block in PYTHON_BLOCK.findall(path.read_text()):
        tree = ast.parse(block)
        assert list(private_names(tree)) == []
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == 'fdr_recorder':
                assert {alias.name for alias in node.names} <= set(fdr_recorder.__all__)


# --- record_flight -------------------------------------------------------------------------------


def small_config(root: Path, **options: object) -> FdrConfig:
    writer = {'min_free_bytes': 0, 'reserve_bytes': 0, 'flush_interval_s': 0.05}
    return FdrConfig.from_options(
        {'flight_root': str(root), **{f'writer.{key}': writer[key] for key in writer}, **options}
    )


BLOB = Schema('test_msgs/msg/Blob', 'uint8[] data\n')


def test_a_script_records_a_flight_with_a_cap(root: Path) -> None:
    config = small_config(
        root,
        **{
            'flight_id': 'capped',
            'writer.segment_size_bytes': 16_384,
            'writer.chunk_size_bytes': 2048,
            'writer.flight_cap_bytes': 60_000,
        },
    )
    alerts = AlertBoard()
    heard: list[str] = []
    alerts.listen(lambda alert: heard.append(alert.code))

    with record_flight(config, alerts=alerts) as flight:
        client = flight.client(Channel('/blob', BLOB))
        for number in range(400):
            client.enqueue(numbered(number, 500))
        assert flight.writer.open_flight_id == 'capped'
        assert flight.summary is None

    assert flight.path == root / 'capped'
    assert flight.summary is not None
    footer = flight.summary.footer
    assert footer.clean_shutdown
    assert footer.segments_dropped > 0
    assert sum(file.stat().st_size for file in flight.path.glob('*.mcap')) < 60_000 + 3 * 16_384
    assert 'segments_dropped' in heard
    assert not verify(flight.path).damage
    FlightRoot.acquire(root).release()


def test_the_cap_may_change_while_a_flight_is_open(root: Path) -> None:
    options = {'writer.segment_size_bytes': 16_384, 'writer.chunk_size_bytes': 2048}
    with record_flight(small_config(root, **options)) as flight:
        small = small_config(root, **options, **{'writer.flight_cap_bytes': 40_000})
        flight.writer.apply(small.writer)
        client = flight.client(Channel('/blob', BLOB))
        for number in range(200):
            client.enqueue(numbered(number, 500))
    assert flight.summary is not None
    assert flight.summary.footer.segments_dropped > 0


def test_the_flight_is_closed_when_the_block_raises(root: Path) -> None:
    with suppress(ZeroDivisionError), record_flight(small_config(root)) as flight:
        flight.client(Channel('/blob', BLOB)).enqueue(numbered(1))
        raise ZeroDivisionError
    assert flight.summary is not None
    assert flight.summary.footer.clean_shutdown
    reader = FlightReader(flight.path)
    assert [m.data for m in reader.messages() if m.channel.topic == '/blob'] != []
    assert recover(root) == []


def test_a_refused_flight_leaves_nothing_behind(root: Path) -> None:
    (root / 'taken').mkdir()
    with pytest.raises(FlightExistsError), record_flight(small_config(root, flight_id='taken')):
        pass
    config = small_config(root, manifest_files=[str(root / 'missing')])
    with pytest.raises(ConfigInvalidError, match='missing'), record_flight(config):
        pass
    assert list((root / 'taken').iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name == 'fdr_writer']
    FlightRoot.acquire(root).release()


def test_clients_have_rings_as_the_configuration_says(root: Path) -> None:
    config = small_config(root, **{'ring.max_records': 16})
    with record_flight(config) as flight:
        client = flight.client(Channel('/blob', BLOB))
        taken = sum(client.enqueue(numbered(n)) for n in range(2000))
    assert taken < 2000
    assert flight.summary is not None
    assert flight.summary.footer.records_dropped_overrun == 2000 - taken


def test_the_node_records_in_the_same_way() -> None:
    node = (SOURCE / 'fdr_recorder/node/parts.py').read_text()
    assert 'make_writer(' in node
    assert not re.search(r'\b(FileFdrWriter|CapacityCapPolicy)\(', node)
    assert FdrWriterConfig() == FdrConfig().writer
    assert issubclass(FlightExistsError, FdrError)


# --- the other functions, as a script calls them -------------------------------------------------


def test_a_script_reads_checks_and_exports_by_path(root: Path, tmp_path: Path) -> None:
    with record_flight(small_config(root, flight_id='x')) as flight:
        for topic in ('/a', '/b'):
            client = flight.client(Channel(topic, BLOB))
            for number in range(10):
                client.enqueue(numbered(number))

    path = str(root / 'x')
    assert flights_in(root) == [root / 'x']
    assert read_info(path).topics['/a'].messages == 10
    assert verify(path).verdict.value == 0
    with FlightReader(path) as reader:
        assert sum(message.channel.topic == '/b' for message in reader.messages()) == 10
    assert export(path, str(tmp_path / 'all.mcap')).messages == 22
    part = export(Query(root / 'x', topics=('/b',)), tmp_path / 'part')
    assert (part.messages, part.topics) == (10, 1)
    assert (tmp_path / 'part/metadata.yaml').is_file()
