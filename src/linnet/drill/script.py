# SPDX-License-Identifier: Apache-2.0
"""A script as data: options, and events in order. parse_script reads one; what is wrong names file and line.

Times are µs. An expression is an int, a string (Text), a Name (or several, joined by |), ELLIPSIS, a list, a Struct or a Call.
Words that the caller defines (-D SYM=value) are replaced here, as packetdrill's lexer does it.
"""
from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from lark import Lark, Token, Tree
from lark.exceptions import LarkError, UnexpectedInput, VisitError

from linnet.drill.grammar import GRAMMAR

ABSOLUTE: Final = 'absolute'
RELATIVE: Final = 'relative'
ANY: Final = 'any'
ABSOLUTE_RANGE: Final = 'absolute range'
RELATIVE_RANGE: Final = 'relative range'

FLAGS: Final = {'F': 1, 'S': 2, 'R': 4, 'P': 8, '.': 16, 'U': 32, 'E': 64, 'W': 128, 'A': 256}


class DrillError(Exception):
    """A script that cannot be read or did not pass. The text is what the user sees, file and line included."""


@dataclass(frozen=True)
class Ellipsis_:
    """`...`: whatever it is."""


ELLIPSIS: Final = Ellipsis_()


@dataclass(frozen=True)
class Name:
    """A symbol (F_SETFL), or several joined by |."""

    parts: tuple[Expr, ...]


@dataclass(frozen=True)
class Text:
    """A string literal, as bytes."""

    data: bytes


@dataclass(frozen=True)
class Call:
    """`htons(8080)`, `msg_iov(1)`."""

    name: str
    args: tuple[Expr, ...]


@dataclass(frozen=True)
class Struct:
    """`{events=POLLIN, fd=3}`: fields by name, in order; what has no name is in `items`."""

    fields: tuple[tuple[str, Expr], ...]
    items: tuple[Expr, ...]

    def get(self, name: str) -> Expr | None:
        """The field, or None."""
        return dict(self.fields).get(name)


Expr = int | str | Ellipsis_ | Name | Text | Call | Struct | list['Expr']


@dataclass(frozen=True)
class When:
    """Start (and, of a range, end) in µs; kind is one of the five above."""

    kind: str
    start: int = 0
    end: int = 0


@dataclass
class TcpSpec:
    """A TCP segment. None for win (or options): not compared. options: (kind, data) pairs."""

    inbound: bool
    flags: int
    seq: int
    length: int
    ack: int
    win: int | None
    urg: int
    options: list[tuple[int, bytes]] | None
    ecn: str | None = None
    tos: int | None = None
    ttl: int | None = None
    sport: int = 0
    dport: int = 0


@dataclass
class IcmpSpec:
    """An ICMP error about the connection; echoed: (seq, length) of the segment it quotes."""

    inbound: bool
    type: str
    code: str | None
    mtu: int
    echoed: tuple[int, int] | None


@dataclass
class Syscall:
    """A call and what must come of it. end: µs at which a blocking one returns (relative as the event's start is)."""

    name: str
    args: list[Expr]
    result: int | str | Ellipsis_
    errno: str | None
    end: int | None


@dataclass
class Command:
    """A line for the shell, emulated."""

    text: str


@dataclass
class Code:
    """Python, run after the script with the tcp_info of its moment."""

    text: str


Action = TcpSpec | IcmpSpec | Syscall | Command | Code


@dataclass
class Event:
    """What happens when; line counts from 1."""

    when: When
    action: Action
    line: int


@dataclass
class Script:
    """path, options as written (name, value), init and clean-up commands, events."""

    path: Path
    options: list[tuple[str, str, int]] = field(default_factory=list)
    init: Event | None = None
    events: list[Event] = field(default_factory=list)
    cleanup: Event | None = None


@functools.cache
def _parser() -> Lark:
    return Lark(GRAMMAR, start='script', parser='lalr', propagate_positions=True, maybe_placeholders=True)


def parse_script(path: Path, text: str, defines: dict[str, str]) -> Script:
    """The script of a file. DrillError: it is not in the language."""
    try:
        tree = _parser().parse(text)
        return _Reader(path, defines).script(tree)
    except UnexpectedInput as exc:
        line = exc.line if exc.line and exc.line > 0 else len(text.splitlines())
        raise DrillError(f'{path}:{line}: syntax error\n{exc.get_context(text).rstrip()}') from None
    except (VisitError, LarkError) as exc:
        raise DrillError(f'{path}: {exc}') from None


def _line(node: Tree[Token] | Token) -> int:
    line = node.line if isinstance(node, Token) else getattr(node.meta, 'line', None)
    return int(line or 0)


class _Reader:
    """Turns lark's tree into events."""

    def __init__(self, path: Path, defines: dict[str, str]) -> None:
        self.path = path
        self.defines = defines

    def fail(self, line: int, text: str) -> DrillError:
        """An error at a line."""
        return DrillError(f'{self.path}:{line}: {text}')

    def script(self, tree: Tree[Token]) -> Script:
        """The whole."""
        script = Script(self.path)
        for node in _trees(tree):
            if node.data == 'option':
                name, _, value = str(node.children[0])[2:].partition('=')
                script.options.append((name, value.strip('"`'), _line(node)))
            elif node.data == 'command':
                event = Event(When(ANY), Command(str(node.children[0])[1:-1]), _line(node))
                if script.events:
                    script.cleanup = event
                else:
                    script.init = event
            else:
                script.events.append(self.event(node))
        if not script.events:
            raise self.fail(1, 'a script without events')
        return script

    def event(self, node: Tree[Token]) -> Event:
        """One event."""
        time, action = _trees(node)
        numbers = [_micros(child) for child in _trees(time)]
        kind = str(time.data).replace('_', ' ').replace('any time', ANY)
        when = When(kind, *numbers)
        line = _line(node)
        return Event(when, self.action(action, line), line)

    def action(self, node: Tree[Token], line: int) -> Action:
        """What it does."""
        if node.data == 'command':
            return Command(str(node.children[0])[1:-1])
        if node.data == 'code':
            return Code(str(node.children[0])[2:-2].strip(' \t'))
        if node.data == 'syscall':
            return self.syscall(node)
        return self.packet(node, line)

    def word(self, token: Token) -> str:
        """A word, or what the caller defines it to be."""
        return self.defines.get(str(token), str(token))

    def syscall(self, node: Tree[Token]) -> Syscall:
        """A call with its result."""
        children: list[Any] = list(node.children)
        end = None if children[0] is None else _micros(children[1])
        name = str(children[2])
        args = [self.expr(child) for child in children[3:-3] if child is not None]
        result = self.expr_token(children[-3].children[0])
        errno = None if children[-2] is None else str(children[-2])
        if not isinstance(result, int | str | Ellipsis_):
            raise self.fail(_line(node), f'{result!r} is no result')
        return Syscall(name, args, result, errno, end)

    def expr_token(self, token: Token) -> Expr:
        """A result: a number or a word."""
        if token.type == 'INT':
            return int(token)
        if token.type == 'HEX':
            return int(token, 16)
        return ELLIPSIS if token.type == 'ELLIPSIS' else str(token)

    def expr(self, node: Any) -> Expr:
        """Any expression."""
        kids = node.children
        if node.data == 'integer':
            return int(kids[0])
        if node.data == 'hexadecimal':
            return int(kids[0], 16)
        if node.data == 'ellipsis':
            return ELLIPSIS
        if node.data == 'string':
            return Text(_unquote(str(kids[0])))
        if node.data == 'name':
            word = self.word(kids[0])
            return int(word) if word.isdecimal() else Name((word,))
        if node.data == 'alternatives':
            return Name(tuple(part for kid in kids for part in _parts(self.expr(kid))))
        if node.data == 'array':
            return [self.expr(kid) for kid in kids if kid is not None]
        if node.data == 'call':
            return Call(str(kids[0]), tuple(self.expr(kid) for kid in kids[1:] if kid is not None))
        if node.data == 'struct':
            return self.struct(kids)
        raise self.fail(_line(node), f'`=` has no meaning here ({node.data})')

    def struct(self, kids: list[Any]) -> Struct:
        """{name=value, name(n)=value, value}."""
        fields: list[tuple[str, Expr]] = []
        items: list[Expr] = []
        for kid in kids:
            if kid.data != 'assign':
                items.append(self.expr(kid))
                continue
            left, right = kid.children
            fields.append((str(left.children[0]), self.expr(right)))
            if left.data == 'call' and left.children[1] is not None:
                fields.append((f'{left.children[0]}()', self.expr(left.children[1])))
        return Struct(tuple(fields), tuple(items))

    # -- packets

    def packet(self, node: Tree[Token], line: int) -> Action:
        """< or >, IP's part, and TCP or ICMP."""
        direction, info, body = node.children
        assert isinstance(direction, Tree)
        assert isinstance(body, Tree)
        inbound = direction.data == 'inbound'
        if body.data == 'icmp':
            return self.icmp(inbound, body, line)
        if body.data == 'udp':
            raise self.fail(line, 'UDP packets are not supported')
        spec = self.tcp(inbound, body, line)
        for item in _trees(info) if isinstance(info, Tree) else []:
            if item.data == 'ecn':
                spec.ecn = str(item.children[0])
            elif item.data == 'tos':
                spec.tos = int(str(item.children[0]), 16)
            else:
                spec.ttl = int(str(item.children[0]))
        return spec

    def tcp(self, inbound: bool, node: Tree[Token], line: int) -> TcpSpec:
        """A segment."""
        ports, flags, seq, ack, win, urg, options = node.children
        bits = 0
        assert isinstance(flags, Tree)
        for letter in ''.join(str(kid) for kid in flags.children):
            if letter == '-':
                continue
            if letter not in FLAGS or bits & FLAGS[letter]:
                raise self.fail(line, f'{"".join(str(kid) for kid in flags.children)!r} are no TCP flags')
            bits |= FLAGS[letter]
        start, end, length = _ints(seq)
        if (start + length - end) & 0xFFFFFFFF:
            raise self.fail(line, f'{start}:{end} is not {length} bytes')
        if inbound and win is None:
            raise self.fail(line, 'an inbound packet needs a window')
        spec = TcpSpec(inbound, bits, start & 0xFFFFFFFF, length, _ints(ack)[0] if ack else 0, _ints(win)[0] if win else None,
                       _ints(urg)[0] if urg else 0, self.options(options, line))
        if ports is not None:
            spec.sport, spec.dport = _ints(ports)
        size = sum(1 if kind < 2 else 2 + len(data) for kind, data in spec.options or [])
        if size % 4 or size > 40:
            raise self.fail(line, f'TCP options of {size} bytes: they must fill 32-bit words, 40 bytes at the most')
        return spec

    def options(self, node: Any, line: int) -> list[tuple[int, bytes]] | None:
        """(kind, data) pairs; None for <...>."""
        if node is None:
            return []
        if node.data == 'any_options':
            return None
        return [self.option(kid, line) for kid in node.children]

    def option(self, node: Any, line: int) -> tuple[int, bytes]:
        """One TCP option."""
        kind = str(node.data)
        if kind == 'sack':
            data = b''.join((number & 0xFFFFFFFF).to_bytes(4, 'big') for block in node.children for number in _ints(block))
            return 5, data
        if kind in ('fastopen', 'fastopen_exp', 'md5'):
            cookie = self.blob(node.children[0].children[0], line) if node.children else b''
            if kind == 'md5':
                return 19, cookie
            return (34, cookie) if kind == 'fastopen' else (254, b'\xf9\x89' + cookie)
        numbers = [int(kid) for kid in node.children]
        if kind == 'timestamp':
            return 8, b''.join(number.to_bytes(4, 'big') for number in numbers)
        simple = {'eol': (0, 0), 'nop': (1, 0), 'mss': (2, 2), 'wscale': (3, 1), 'sackok': (4, 0)}
        number, size = simple[kind]
        return number, numbers[0].to_bytes(size, 'big') if size else b''

    def blob(self, token: Token, line: int) -> bytes:
        """Hexadecimal digits."""
        word = self.word(token)
        try:
            return bytes.fromhex(word)
        except ValueError:
            raise self.fail(line, f'{word!r} is not a number of hexadecimal bytes') from None

    def icmp(self, inbound: bool, node: Tree[Token], line: int) -> IcmpSpec:
        """An ICMP error."""
        kind, code, mtu, echoed = node.children
        assert isinstance(kind, Token)
        quote = None
        if echoed is not None:
            start, end, length = _ints(echoed)
            if start + length != end:
                raise self.fail(line, f'{start}:{end} is not {length} bytes')
            quote = start, length
        name = self.word(code) if isinstance(code, Token) else None
        return IcmpSpec(inbound, str(kind), name, _ints(mtu)[0] if mtu else 0, quote)


def _trees(node: Tree[Token]) -> list[Tree[Token]]:
    return [child for child in node.children if isinstance(child, Tree)]


def _ints(node: Any) -> list[int]:
    return [int(child) for child in node.children]


def _micros(node: Any) -> int:
    return round(float(node.children[0]) * 1_000_000)


def _parts(expr: Expr) -> tuple[Expr, ...]:
    return expr.parts if isinstance(expr, Name) else (expr,)


def _unquote(text: str) -> bytes:
    return text[1:-1].encode('latin-1').decode('unicode_escape').encode('latin-1')
