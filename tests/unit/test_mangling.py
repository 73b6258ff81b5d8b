# SPDX-License-Identifier: Apache-2.0
"""No method calls a module's function whose name starts with two underscores, as many of Linux's do.

Inside a class body Python reads `__skb_dequeue` as `_Class__skb_dequeue`: interpreted it is a NameError on the day that
line runs, compiled it works. The method calls a module function of another name, which calls it.
"""
from __future__ import annotations

import ast
from pathlib import Path

import linnet

PACKAGE = Path(linnet.__file__).parent


def mangled(tree: ast.AST) -> list[tuple[int, str]]:
    """(line, name) of names that Python would mangle."""
    return [
        (node.lineno, node.id)
        for cls in ast.walk(tree) if isinstance(cls, ast.ClassDef)
        for node in ast.walk(cls)
        if isinstance(node, ast.Name) and node.id.startswith('__') and not node.id.endswith('__')
    ]


def test_the_check_finds_one() -> None:
    assert mangled(ast.parse('class A:\n    def f(self): __g()\n    def __init__(self): h()\ndef k(): __g()')) == [(2, '__g')]


def test_no_method_uses_a_name_that_is_mangled() -> None:
    found = [
        f'{path.relative_to(PACKAGE)}:{line}: {name}'
        for path in sorted(PACKAGE.rglob('*.py'))
        for line, name in mangled(ast.parse(path.read_text(), str(path)))
    ]
    assert found == []
