# SPDX-License-Identifier: Apache-2.0
"""Sysctl tables: Linux's names with dots ('net.ipv4.tcp_rmem') over values that are native attributes.

An entry (CtlTable) is bound to an object and an attribute of it, usually a field of NetnsIpv4; it turns text into the
value and back as the handlers of kernel/sysctl.c do (proc_dointvec_minmax and kin): white space separates the numbers
of a vector, fewer numbers than fields set the first ones, 0x and 0 prefixes are taken, out of range or not a number is
-EINVAL and changes nothing.  Binding goes by getattr/setattr: sysctls are not read this way on the packet path.
"""
from __future__ import annotations

from typing import Final

from mypy_extensions import mypyc_attr

from linnet.kernel.errno import EEXIST, EINVAL, ENOENT, EPERM

INT_MIN: Final = -0x80000000
INT_MAX: Final = 0x7FFFFFFF


def parse_int(text: str) -> int | None:
    """A number as strtol(base 0) reads it: decimal, 0x hexadecimal, 0 octal, with a sign; None if it is none."""
    digits = text
    sign = 1
    if digits[:1] in ('-', '+'):
        if digits[0] == '-':
            sign = -1
        digits = digits[1:]
    base = 10
    if digits[:2] in ('0x', '0X'):
        base = 16
        digits = digits[2:]
    elif len(digits) > 1 and digits[0] == '0':
        base = 8
    if not (digits.isascii() and digits.isalnum()):
        return None
    try:
        return sign * int(digits, base)
    except ValueError:
        return None


@mypyc_attr(allow_interpreted_subclasses=True)
class CtlTable:
    """One entry; override read() and write().  Linux: struct ctl_table."""

    def __init__(self, read_only: bool = False) -> None:
        self.name = ''  # the full name; the registry sets it
        self.read_only = read_only

    def read(self) -> str:
        """The value as `cat` on /proc/sys shows it, without the newline."""
        return ''

    def write(self, value: str) -> int:
        """Set from text; 0 or a negative errno."""
        return -EINVAL


class CtlVector(CtlTable):
    """n integers: the attribute is a list[int], or for n = 1 an int.  Linux: kernel/sysctl.c, proc_dointvec_minmax."""

    def __init__(
        self, obj: object, attr: str, n: int, low: int = INT_MIN, high: int = INT_MAX, read_only: bool = False
    ) -> None:
        super().__init__(read_only)
        self.obj = obj
        self.attr = attr
        self.n = n
        self.low = low
        self.high = high

    def get_values(self) -> list[int]:
        """The present values."""
        value = getattr(self.obj, self.attr)
        if self.n == 1 and isinstance(value, int):
            return [int(value)]
        return [int(v) for v in value]

    def set_values(self, values: list[int]) -> None:
        """Store the values (in place where the attribute is a list, so that who holds the list sees it)."""
        old = getattr(self.obj, self.attr)
        if isinstance(old, list):
            old[:] = values
        elif isinstance(old, bool):
            setattr(self.obj, self.attr, values[0] != 0)
        else:
            setattr(self.obj, self.attr, values[0])

    def to_user(self, value: int) -> int | None:
        """The stored value in the unit of the file."""
        return value

    def from_user(self, value: int) -> int | None:
        """A value in the unit of the file as it is stored, or None if it cannot be."""
        return value

    def read(self) -> str:
        """The numbers, separated by tabs as in /proc."""
        return '\t'.join([str(self.to_user(v)) for v in self.get_values()])

    def write(self, value: str) -> int:
        """Set the first numbers from text.  -EINVAL: not numbers, too many, out of range."""
        words = value.split()
        if not words or len(words) > self.n:
            return -EINVAL
        values = self.get_values()
        for i, word in enumerate(words):
            number = parse_int(word)
            if number is None or number < self.low or number > self.high:
                return -EINVAL
            number = self.from_user(number)
            if number is None:
                return -EINVAL
            values[i] = number
        self.set_values(values)
        return 0


class CtlInt(CtlVector):
    """One integer within low .. high.  Linux: kernel/sysctl.c, proc_dointvec_minmax."""

    def __init__(
        self, obj: object, attr: str, low: int = INT_MIN, high: int = INT_MAX, read_only: bool = False
    ) -> None:
        super().__init__(obj, attr, 1, low, high, read_only)


class CtlBool(CtlVector):
    """0 or 1.  Linux: kernel/sysctl.c, proc_dobool."""

    def __init__(self, obj: object, attr: str, read_only: bool = False) -> None:
        super().__init__(obj, attr, 1, 0, 1, read_only)


class CtlScaled(CtlVector):
    """An integer stored `scale` times as large as shown: seconds kept in jiffies (proc_dointvec_jiffies)."""

    def __init__(
        self, obj: object, attr: str, scale: int, low: int = 0, high: int = INT_MAX, read_only: bool = False
    ) -> None:
        super().__init__(obj, attr, 1, low, high, read_only)
        self.scale = scale

    def to_user(self, value: int) -> int | None:
        """Rounded towards zero."""
        return value // self.scale if value >= 0 else -(-value // self.scale)

    def from_user(self, value: int) -> int | None:
        """None if the product leaves an int, as in Linux."""
        stored = value * self.scale
        return stored if INT_MIN <= stored <= INT_MAX else None


class CtlString(CtlTable):
    """A string attribute, cut to `size` - 1 characters; `allowed`: the words that may be written (empty: any).

    Linux: kernel/sysctl.c, proc_dostring.
    """

    def __init__(
        self, obj: object, attr: str, size: int = 64, allowed: list[str] | None = None, read_only: bool = False
    ) -> None:
        super().__init__(read_only)
        self.obj = obj
        self.attr = attr
        self.size = size
        self.allowed = allowed

    def read(self) -> str:
        """The string."""
        return str(getattr(self.obj, self.attr))

    def write(self, value: str) -> int:
        """Set it; -ENOENT for a word that is not allowed."""
        text = value.split('\n', 1)[0][:self.size - 1].strip()
        if self.allowed is not None and text not in self.allowed:
            return -ENOENT
        setattr(self.obj, self.attr, text)
        return 0


@mypyc_attr(allow_interpreted_subclasses=True)
class CtlDir:
    """A directory whose entries are made when one of them is asked for: most hosts never do."""

    def fill(self) -> None:
        """Register them."""
        raise AssertionError('a directory knows its entries')


class SysctlRegistry:
    """The entries of one host by full name."""

    def __init__(self) -> None:
        self.entries: dict[str, CtlTable] = {}
        self.later: dict[str, CtlDir] = {}  # 'net.ipv6.' -> directories that are not filled yet

    def register(self, name: str, entry: CtlTable) -> int:
        """Add an entry; -EEXIST if the name is taken."""
        if name in self.entries:
            return -EEXIST
        entry.name = name
        self.entries[name] = entry
        return 0

    def register_later(self, name: str, directory: CtlDir) -> None:
        """Let a directory ('net.ipv6') be filled when it is needed."""
        self.later[name + '.'] = directory

    def is_filled(self, name: str) -> bool:
        """Has that directory been filled (or is it none that is filled later)?"""
        return name + '.' not in self.later

    def _fill(self, name: str) -> bool:
        """Fill the directories that `name` may be in: were there any?"""
        found = [start for start in self.later if name.startswith(start)]
        for start in found:
            self.later.pop(start).fill()
        return len(found) != 0

    def unregister(self, name: str) -> int:
        """Remove an entry; -ENOENT if there is none."""
        return -ENOENT if self.entries.pop(name, None) is None else 0

    def unregister_under(self, prefix: str) -> None:
        """Remove the entries under `prefix` and a dot (a device that goes takes its directory along)."""
        start = prefix + '.'
        for name in [n for n in self.entries if n.startswith(start)]:
            del self.entries[name]

    def find(self, name: str) -> CtlTable | None:
        """The entry called `name`; slashes do for dots, as sysctl(8) takes them."""
        entry = self.entries.get(name)
        if entry is None and '/' in name:
            name = name.replace('.', '\0').replace('/', '.').replace('\0', '/')
            entry = self.entries.get(name)
        if entry is None and self.later and self._fill(name):
            entry = self.entries.get(name)
        return entry

    def get(self, name: str) -> str:
        """The value as text.  KeyError if there is no such entry."""
        entry = self.find(name)
        if entry is None:
            raise KeyError(name)
        return entry.read()

    def set(self, name: str, value: str) -> int:
        """Set from text; 0, -ENOENT (no such entry), -EPERM (read only) or -EINVAL (value refused)."""
        entry = self.find(name)
        if entry is None:
            return -ENOENT
        if entry.read_only:
            return -EPERM
        return entry.write(value)

    def names(self) -> list[str]:
        """All names, sorted."""
        while self.later:
            self._fill(next(iter(self.later)))
        return sorted(self.entries)
