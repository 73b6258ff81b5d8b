# SPDX-License-Identifier: Apache-2.0
"""The environment of a simulated program."""
from __future__ import annotations

import os


class Environ(os._Environ[str]):
    """os.environ of one program: a copy, whose changes reach nobody else (and no C library)."""

    def __init__(self, values: dict[str, str]) -> None:
        like = os.environ
        super().__init__({}, like.encodekey, like.decodekey, like.encodevalue, like.decodevalue)
        for key, value in values.items():
            self[key] = value

    def __setitem__(self, key: str, value: str) -> None:
        self._data[self.encodekey(key)] = self.encodevalue(value)  # type: ignore[attr-defined]

    def __delitem__(self, key: str) -> None:
        try:
            del self._data[self.encodekey(key)]  # type: ignore[attr-defined]
        except KeyError:
            raise KeyError(key) from None
