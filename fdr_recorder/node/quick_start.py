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
Import less: what a process imports before its first record, the flight is without.

- A package of ROS messages imports all its messages, which are hundreds for PX4. Here each message
  is imported when it is needed.
- Many messages import `numpy`, for arrays of fixed size. The recorder handles messages as bytes,
  and makes none with such an array.
- What loads the type support of messages also imports the generator of their Python code, with two
  parsers, if it can; it expects that it cannot.

Without these the recorder starts in two thirds of the processor time, and needs less memory (see
docs/performance.md). The modules of its processes import this one before any that imports ROS
messages, and call `imports_are_done` after all.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
import gc
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import find_spec
import sys
import threading
from types import ModuleType
from typing import Any, cast


def defer(name: str) -> None:
    """
    Let `import name` give a placeholder that imports the module when an attribute is needed.

    A submodule that is imported needs one. Code that holds the placeholder may go on using it.
    (`importlib.util.LazyLoader` imports the module at the second `import`, and before Python 3.12
    not safely with threads.)
    """
    if name in sys.modules or (spec := find_spec(name)) is None:
        return
    placeholder: Any = ModuleType(name)
    placeholder.__spec__, placeholder.__file__ = spec, spec.origin  # `inspect` asks every module
    lock = threading.RLock()

    def load(attribute: str) -> Any:  # noqa: ANN401 - any attribute of a module
        with lock:
            if sys.modules.get(name) is placeholder:
                del sys.modules[name]
            module = import_module(name)
        return getattr(module, attribute)

    placeholder.__getattr__ = load
    sys.modules[name] = placeholder


class _OneByOne(SourceFileLoader):
    """Loads a package of messages without its messages."""

    def exec_module(self, module: ModuleType) -> None:
        """Run it, but for a generated one, which does nothing else than to import them all."""
        places = _imported_names(self.get_data(self.path).decode())
        if not places:
            super().exec_module(module)
            return
        name, package = module.__name__, cast('Any', module)

        def load(attribute: str) -> Any:  # noqa: ANN401 - a class of messages
            if attribute not in places:
                raise AttributeError(f'module {name!r} has no attribute {attribute!r}')
            value = getattr(import_module(places[attribute]), attribute)
            setattr(package, attribute, value)
            return value

        package.__getattr__, package.__all__ = load, [*places]


def _imported_names(source: str) -> dict[str, str]:
    """Return the module of each name that a source imports; empty if it does something else."""
    places = {}
    for line in source.splitlines():
        match line.partition('#')[0].split():
            case ['from', module, 'import', name]:
                places[name] = module
            case [_, *_]:
                return {}
    return places


class _MessagePackages:
    """Finds the packages of messages, before the finder of all other modules."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition('.')[2] not in ('msg', 'srv', 'action'):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is SourceFileLoader:
            spec.loader = _OneByOne(spec.loader.name, spec.loader.path)
        return spec


def imports_are_done() -> None:
    """Let the garbage collector run again: during imports it finds nothing."""
    gc.freeze()
    gc.enable()


def without(name: str, package: str) -> None:
    """Import a package that does without one of its modules if it has to."""
    if name in sys.modules:
        return
    modules: dict[str, Any] = sys.modules
    modules[name] = None  # so `import` raises ImportError
    with suppress(ImportError):
        import_module(package)
    del modules[name]


sys.meta_path.insert(0, _MessagePackages)
defer('numpy')
without('rosidl_generator_py.generate_py_impl', 'rosidl_generator_py')
gc.disable()
