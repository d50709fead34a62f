"""The version of the software, in one place; setup.py and package.xml carry the same."""

from __future__ import annotations

__version__ = '0.1.0'
