# SPDX-License-Identifier: Apache-2.0
"""No import circle between the files of the compiled rooms.

A circular `from x import f` works compiled and fails interpreted, or the other way round, depending on who is imported
first. Imports inside functions count too: they hide a circle without undoing it. Those under `if TYPE_CHECKING:` do
not exist at run time and are left out. That layers point down is import-linter's business (pyproject.toml).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import linnet

ROOMS = ('include', 'kernel', 'net', 'drivers')
PACKAGE = Path(linnet.__file__).parent

Graph = dict[str, set[str]]


def module_name(package: Path, path: Path) -> str:
    parts = path.relative_to(package.parent).with_suffix('').parts
    return '.'.join(parts[:-1] if parts[-1] == '__init__' else parts)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and (
        (isinstance(node.test, ast.Name) and node.test.id == 'TYPE_CHECKING')
        or (isinstance(node.test, ast.Attribute) and node.test.attr == 'TYPE_CHECKING')
    )


def import_nodes(tree: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that can happen at run time, wherever they stand."""
    pending: list[ast.AST] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif is_type_checking(node):
            assert isinstance(node, ast.If)
            pending.extend(node.orelse)
        else:
            pending.extend(ast.iter_child_nodes(node))


def imported_by(name: str, is_package: bool, tree: ast.AST, modules: set[str]) -> set[str]:
    """Return which of `modules` the module `name` imports."""
    found: set[str] = set()
    for node in import_nodes(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name in modules)
            continue
        base = node.module or ''
        if node.level:
            parents = name.split('.')
            keep = len(parents) - node.level + (1 if is_package else 0)
            base = '.'.join([*parents[:keep], *([base] if base else [])])
        for alias in node.names:
            full = f'{base}.{alias.name}'
            if full in modules:
                found.add(full)
            elif base in modules:
                found.add(base)
    found.discard(name)
    return found


def import_graph(package: Path, rooms: tuple[str, ...]) -> Graph:
    paths = {module_name(package, path): path for room in rooms for path in sorted((package / room).rglob('*.py'))}
    modules = set(paths)
    return {
        name: imported_by(name, path.name == '__init__.py', ast.parse(path.read_text(), str(path)), modules)
        for name, path in paths.items()
    }


def find_circle(graph: Graph) -> list[str]:
    """Return one import circle as the chain of its modules, first repeated at the end, or []."""
    done: set[str] = set()
    for start in sorted(graph):
        if start in done:
            continue
        trail: list[str] = [start]
        branches: list[Iterator[str]] = [iter(sorted(graph[start]))]
        while branches:
            following = next(branches[-1], None)
            if following is None:
                done.add(trail.pop())
                branches.pop()
            elif following in trail:
                return [*trail[trail.index(following) :], following]
            elif following not in done:
                trail.append(following)
                branches.append(iter(sorted(graph[following])))
    return []


def write_package(root: Path, files: dict[str, str]) -> Path:
    package = root / 'house'
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


def test_compiled_rooms_have_no_import_circle() -> None:
    circle = find_circle(import_graph(PACKAGE, ROOMS))
    assert not circle, 'import circle: ' + ' -> '.join(circle)


def test_circle_is_found_at_top_level_and_inside_functions(tmp_path: Path) -> None:
    package = write_package(
        tmp_path,
        {
            'net/a.py': 'from house.net.b import f\n',
            'net/b.py': 'def f():\n    from house.kernel import c\n    return c\n',
            'kernel/c.py': 'import house.net.a\n',
        },
    )
    assert find_circle(import_graph(package, ('net', 'kernel'))) == [
        'house.kernel.c',
        'house.net.a',
        'house.net.b',
        'house.kernel.c',
    ]


def test_circle_through_relative_imports_is_found(tmp_path: Path) -> None:
    package = write_package(
        tmp_path,
        {
            'net/__init__.py': '',
            'net/core/__init__.py': '',
            'net/core/dev.py': 'from ..sock import g\n',
            'net/sock.py': 'from .core.dev import f\n',
        },
    )
    circle = find_circle(import_graph(package, ('net',)))
    assert circle == ['house.net.core.dev', 'house.net.sock', 'house.net.core.dev']


def test_type_checking_imports_make_no_circle(tmp_path: Path) -> None:
    package = write_package(
        tmp_path,
        {
            'net/a.py': 'from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.net.b import B\n',
            'net/b.py': 'from house.net.a import A\n',
        },
    )
    assert find_circle(import_graph(package, ('net',))) == []


def test_the_else_of_type_checking_counts(tmp_path: Path) -> None:
    package = write_package(
        tmp_path,
        {
            'net/a.py': 'import typing\nif typing.TYPE_CHECKING:\n    pass\nelse:\n    import house.net.b\n',
            'net/b.py': 'import house.net.a\n',
        },
    )
    assert find_circle(import_graph(package, ('net',))) == ['house.net.a', 'house.net.b', 'house.net.a']
