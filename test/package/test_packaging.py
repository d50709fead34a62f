# Copyright 2026 FDR Recorder maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License"); you may not use this file except
# in compliance with the License. You may obtain a copy of the License at
#     http://www.apache.org/licenses/LICENSE-2.0
# Unless required by applicable law or agreed to in writing, software distributed under the License
# is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express
# or implied. See the License for the specific language governing permissions and limitations under
# the License.

"""The package installs the same way with pip and with colcon, and its core needs no ROS."""

from __future__ import annotations

import ast
from configparser import ConfigParser
import importlib.util
import os
from pathlib import Path
import shutil
import subprocess
import sys
import sysconfig
import xml.etree.ElementTree as ET

import pytest
from requirements import cannot_run
from without_ros import hide_ros, is_ros, LAUNCH

SOURCE = Path(__file__).resolve().parents[2]
PACKAGE = SOURCE / 'fdr_recorder'
INDEX = Path('share/ament_index/resource_index')

NEED_ROS = ('fdr_recorder.node', 'fdr_recorder.cli.ros2')

ROS2_COMMAND = PACKAGE / 'cli/ros2.py'
"""What the `ros2` command imports, and nobody else."""

# Imports each module named on the command line.
IMPORT_WITHOUT_ROS = f"""
{hide_ros()}
import importlib

for name in sys.argv[1:]:
    print(importlib.import_module(name).__file__)
"""

READ_A_MESSAGE_DEFINITION = """
from fdr_recorder.record.kinds import FlightHeader
from fdr_recorder.record.codec import own_definition
print(own_definition(FlightHeader).text)
"""


def imports(path: Path) -> set[str]:
    """Return every absolute import of a file, those inside functions included."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'), path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module)
    return names


def core_modules() -> list[str]:
    files = (path for path in PACKAGE.rglob('*.py') if path != ROS2_COMMAND)
    paths = (path.relative_to(SOURCE).with_suffix('') for path in files)
    names = ('.'.join(path.parts).removesuffix('.__init__') for path in paths)
    return sorted(
        name
        for name in names
        if not name.startswith(NEED_ROS) and not name.endswith('.__main__')
    )


def run(*command: object, cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def run_python_in(prefix: Path, code: str, *arguments: str) -> str:
    """Run code with the package of a prefix, and its dependencies from the tests' environment."""
    workspace = prefix.parent / 'setup.sh'
    if workspace.exists():
        sourced = ('sh', '-c', f'. {workspace} && exec "$@"', 'sh')
        return run(*sourced, sys.executable, '-c', code, *arguments, cwd=prefix)
    python = prefix / 'bin/python'
    own = run(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))').strip()
    path = [own, sysconfig.get_path('purelib'), sysconfig.get_path('platlib')]
    return run(python, '-c', code, *arguments, cwd=prefix, PYTHONPATH=os.pathsep.join(path))


def names(directory: Path, pattern: str = '*') -> set[str]:
    return {path.name for path in directory.glob(pattern)}


def copy_source(destination: Path) -> Path:
    """Copy what a build reads, so that no build product lands in the checkout."""
    destination.mkdir(parents=True)
    for name in ('LICENSE', 'package.xml', 'pyproject.toml', 'setup.cfg', 'setup.py'):
        shutil.copy(SOURCE / name, destination)
    for name in ('config', 'fdr_recorder', 'launch', 'msg', 'resource', 'scripts'):
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(SOURCE / name, destination / name, ignore=ignored)
    return destination


@pytest.fixture(scope='session')
def pip_prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a virtual environment with nothing but the wheel of this checkout in it."""
    work = tmp_path_factory.mktemp('pip')
    pip = (sys.executable, '-m', 'pip', '--disable-pip-version-check')
    build = ('wheel', '--no-deps', '--no-build-isolation', '--wheel-dir', work / 'wheels')
    run(*pip, *build, copy_source(work / 'source'))
    (wheel,) = (work / 'wheels').glob('*.whl')
    prefix = work / 'prefix'
    run(sys.executable, '-m', 'venv', '--without-pip', prefix)
    # In a sourced workspace, as in `colcon test`, the path has this package already.
    install = ('install', '--no-deps', '--no-index', '--ignore-installed', '--no-compile')
    run(*pip, '--python', prefix / 'bin/python', *install, wheel)
    return prefix


def colcon(work: Path, *arguments: object) -> None:
    # No package is compiled: the half of its modules is not imported here.
    environment = {'COLCON_HOME': str(work), 'PYTHONDONTWRITEBYTECODE': '1'}
    run(sys.executable, '-m', 'colcon', *arguments, cwd=work, **environment)


def build_with_colcon(work: Path, *options: str) -> Path:
    """Build a workspace with this checkout as its only package; return the package's prefix."""
    if importlib.util.find_spec('colcon_ros') is None:
        cannot_run('colcon-ros is not installed')
    copy_source(work / 'src/fdr_recorder')
    colcon(work, 'build', *options)
    return work / 'install/fdr_recorder'


@pytest.fixture(scope='session')
def colcon_prefix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where `colcon build` installs this checkout."""
    return build_with_colcon(tmp_path_factory.mktemp('colcon'))


@pytest.fixture(scope='session', params=['pip', 'colcon', 'colcon --symlink-install'])
def prefix(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return each of the layouts that the package is used in."""
    tool, *options = request.param.split()
    if options:
        return build_with_colcon(tmp_path_factory.mktemp('colcon'), *options)
    return request.getfixturevalue(f'{tool}_prefix')


def test_the_ament_index_names_the_package(prefix: Path) -> None:
    assert (prefix / INDEX / 'packages/fdr_recorder').is_file()


def test_the_ament_index_lists_every_message(prefix: Path) -> None:
    listed = (prefix / INDEX / 'rosidl_interfaces/fdr_recorder').read_text().splitlines()
    assert listed == sorted(f'msg/{name}' for name in names(SOURCE / 'msg'))


@pytest.mark.parametrize(
    ('directory', 'pattern'), [('msg', '*.msg'), ('launch', '*.launch.py'), ('config', '*.yaml')]
)
def test_the_share_directory_is_complete(prefix: Path, directory: str, pattern: str) -> None:
    installed = names(prefix / 'share/fdr_recorder' / directory, pattern)
    assert installed == names(SOURCE / directory, pattern)
    assert installed


def test_the_manifest_is_installed(prefix: Path) -> None:
    installed = prefix / 'share/fdr_recorder/package.xml'
    assert installed.read_text() == (SOURCE / 'package.xml').read_text()


def test_the_version_is_the_same_everywhere(pip_prefix: Path) -> None:
    version = {}
    exec((PACKAGE / 'version.py').read_text(), version)
    assert f'<version>{version["__version__"]}</version>' in (SOURCE / 'package.xml').read_text()
    assert list(pip_prefix.rglob(f'fdr_recorder-{version["__version__"]}.dist-info'))
    assert f'\n{version["__version__"]} (' in (SOURCE / 'CHANGELOG.rst').read_text()


@pytest.mark.parametrize(
    ('name', 'module'),
    [
        ('recorder', 'fdr_recorder.node'),
        ('flight_trigger', 'fdr_recorder.node.trigger'),
        ('gcs_bridge', 'fdr_recorder.node.gcs_bridge'),
    ],
)
def test_an_executable_prefers_the_interpreter_of_its_prefix(
    tmp_path: Path, name: str, module: str
) -> None:
    executable = shutil.copytree(SOURCE / 'scripts', tmp_path / 'lib/fdr_recorder') / name
    for directory in ('bin', 'elsewhere'):
        (tmp_path / directory).mkdir()
        python = tmp_path / directory / 'python3'
        python.write_text(f'#!/bin/sh\necho {directory} "$@"\n')
        python.chmod(0o755)
    path = f'{tmp_path}/elsewhere:{os.environ["PATH"]}'

    assert run(executable, '-x', PATH=path) == f'bin -m {module} -x\n'
    (tmp_path / 'bin/python3').unlink()
    assert run(executable, '-x', PATH=path) == f'elsewhere -m {module} -x\n'


def test_the_executables_are_there(prefix: Path) -> None:
    installed = {
        path.name for path in (prefix / 'lib/fdr_recorder').iterdir() if os.access(path, os.X_OK)
    }
    assert installed >= names(SOURCE / 'scripts')  # setuptools puts `fdr` there as well


def test_the_core_imports_without_ros(prefix: Path) -> None:
    found = run_python_in(prefix, IMPORT_WITHOUT_ROS, *core_modules()).splitlines()
    assert len(found) == len(core_modules())
    assert not [path for path in found if Path(path).is_relative_to(SOURCE)]


def test_the_message_definitions_are_found(prefix: Path) -> None:
    assert 'string flight_id' in run_python_in(prefix, READ_A_MESSAGE_DEFINITION)


def test_the_wheel_carries_types_messages_and_scripts(pip_prefix: Path) -> None:
    (package,) = pip_prefix.glob('lib/python*/site-packages/fdr_recorder')
    assert (package / 'py.typed').is_file()
    assert names(package / 'record/msg') == names(SOURCE / 'msg')
    for directory in ('script', 'vendor'):
        assert names(package / 'report' / directory) == names(PACKAGE / 'report' / directory)


def test_only_the_node_imports_ros() -> None:
    core = [path for path in PACKAGE.rglob('*.py') if PACKAGE / 'node' not in path.parents]
    offenders = {
        str(path.relative_to(SOURCE)): ros
        for path in core
        if path != ROS2_COMMAND
        if (ros := sorted(filter(is_ros, imports(path))))
    }
    assert offenders == {}


def test_the_command_line_is_installed(pip_prefix: Path) -> None:
    (site,) = pip_prefix.glob('lib/python*/site-packages')
    path = [str(site), sysconfig.get_path('purelib'), sysconfig.get_path('platlib')]
    said = run(pip_prefix / 'bin/fdr', '--version', cwd=site, PYTHONPATH=os.pathsep.join(path))
    assert said.startswith('fdr ')


@pytest.mark.parametrize('group', ['console_scripts', 'ros2cli.command'])
def test_it_is_an_entry_point(pip_prefix: Path, group: str) -> None:
    (file,) = pip_prefix.rglob('fdr_recorder-*.dist-info/entry_points.txt')
    points = ConfigParser()
    points.read(file)
    module, _, name = points[group]['fdr'].partition(':')
    path = SOURCE.joinpath(*module.split('.')).with_suffix('.py')
    defined = {getattr(node, 'name', None) for node in ast.parse(path.read_text()).body}
    assert name in defined


def test_the_node_does_not_import_launch() -> None:
    imported = {name for path in (PACKAGE / 'node').rglob('*.py') for name in imports(path)}
    assert not {name.partition('.')[0] for name in imported} & LAUNCH


@pytest.mark.slow
def test_colcon_test_runs_the_tests(colcon_prefix: Path) -> None:
    """A few of them: it runs those in test/ with pytest, and tells a failure from success."""
    work = colcon_prefix.parents[1]
    tests = work / 'src/fdr_recorder/test'
    shutil.copytree(SOURCE / 'test', tests, ignore=shutil.ignore_patterns('__pycache__'))
    (tests / 'test_broken.py').write_text('def test_broken():\n    assert False\n')
    test = ('test', '--return-code-on-test-failure', '--pytest-args')
    wheel = 'test/package/test_packaging.py::test_the_manifest_is_installed[pip]'
    colcon(work, *test, 'test/test_config_file.py', wheel)
    (suite,) = ET.parse(work / 'build/fdr_recorder/pytest.xml').getroot()
    assert int(suite.get('tests', 0)) > 50
    assert suite.get('failures') == suite.get('errors') == suite.get('skipped') == '0'
    with pytest.raises(AssertionError, match='with test failures'):
        colcon(work, *test, 'test/test_broken.py')
