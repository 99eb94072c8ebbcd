"""Texts of a venue, spoilt: bytes, tokens and the shape of their JSON."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

__all__ = ["mutated"]

PIECES = [
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b",", b":", b" ", b"\n", b"\x00", b"\xff", b"\xc3"),
    *(b"null", b"NaN", b"-", b"0", b"1e400", b"1e-400", b"Infinity", b"0" * 60, b"\xe2\x80\xae"),
    *(b'"sequence":1,', b'"price":"-0",', b'"type":"open",', b'"event":"info",', b"[[],[]]"),
]
"""What is put between two bytes."""
TOKENS = [
    *("null", "true", "false", "0", "-0", "-0.0", "0e0", "1", "-1", "1.5", "1e2", "1E+2", "1e400"),
    *("1e-400", "NaN", "Infinity", "-Infinity", "1" * 40, "0." + "1" * 40, "-" + "9" * 40),
    *(str(2**31), str(2**53 + 1), str(2**63 - 1), str(2**63), str(2**64), str(2**128), "-1e99999"),
    *("01", "1.", ".5", "+1", "0x10", "1_0", "１", '""', '"0"', '"-0"', '"1e400"', '"NaN"', '" 1"'),
    *('"' + "1" * 40 + '"', '"0.' + "1" * 40 + '"', '"\\u0000"', '"\\ud800"', '"💥"', '"\\u0031"'),
    *('"open"', '"match"', '"done"', '"change"', '"heartbeat"', '"received"', '"buy"', '"sell"'),
    *('"cs"', '"hb"', '"te"', '"tu"', "[]", "{}", "[[]]", '{"a":1}', '"' + "x" * 2_000 + '"'),
]
"""What stands in a value's place."""


class Token(str):
    """A number or a word as it is printed."""

    __slots__ = ()


class Members(list[Any]):
    """An object: its (name, value), so that one may stand twice."""


def read(text: bytes) -> Any:
    return json.loads(
        text,
        parse_float=Token,
        parse_int=Token,
        parse_constant=Token,
        object_pairs_hook=Members,
    )


def printed(node: Any, draw: random.Random) -> str:
    blank = draw.choice(("", " ", "\n\t")) if draw.random() < 0.02 else ""
    if isinstance(node, Token):
        return f"{blank}{node}"
    if isinstance(node, Members):
        inner = ",".join(f"{json.dumps(k)}:{printed(v, draw)}" for k, v in node)
        return f"{blank}{{{inner}}}"
    if isinstance(node, list):
        return f"{blank}[{','.join(printed(value, draw) for value in node)}]"
    return blank + json.dumps(node)


def _places(node: Any) -> list[tuple[Any, int]]:
    """Every (list or object, index) in it."""
    found = []
    if isinstance(node, list):
        for at, value in enumerate(node):
            found.append((node, at))
            found += _places(value[1] if isinstance(node, Members) else value)
    return found


def _value(holder: Any, at: int) -> Any:
    return holder[at][1] if isinstance(holder, Members) else holder[at]


def _put(holder: Any, at: int, value: Any) -> None:
    holder[at] = (holder[at][0], value) if isinstance(holder, Members) else value


def _digit(text: str, draw: random.Random) -> str:
    """The text with one digit another."""
    digits = [at for at, sign in enumerate(text) if sign.isdigit()]
    if not digits:
        return text
    at = draw.choice(digits)
    return f"{text[:at]}{draw.randrange(10)}{text[at + 1 :]}"


def _otherwise(text: str, draw: random.Random) -> str:
    """The same number, or nearly, printed otherwise."""
    forms = (f"{text}0", f"{text}.0", f"{text}e0", f"{text}e1", f"-{text}", f"{text}e-9")
    return draw.choice(forms)


def _reshaped(text: bytes, draw: random.Random) -> bytes:
    """One value, member or place is another."""
    tree = read(text)
    places = _places(tree)
    if not places:
        return draw.choice(TOKENS).encode()
    holder, at = draw.choice(places)
    value, what = _value(holder, at), draw.randrange(9)
    scalar = isinstance(value, str)
    if what in (0, 1):
        _put(holder, at, Token(draw.choice(TOKENS)))
    elif what in (2, 3) and scalar:
        _put(holder, at, type(value)(_digit(value, draw)))
    elif what == 4 and scalar:
        _put(holder, at, type(value)(_otherwise(value, draw)))
    elif what == 5:
        del holder[at]
    elif what == 6:  # once more: the same, or with another value
        again = Token(draw.choice(TOKENS)) if draw.random() < 0.5 else value
        twice = (holder[at][0], again) if isinstance(holder, Members) else again
        holder.insert(draw.randrange(len(holder) + 1), twice)
    elif what == 7:
        other, there = draw.choice(places)
        mine, theirs = value, _value(other, there)
        if not any(isinstance(v, list) for v in (mine, theirs)):
            _put(holder, at, theirs)
            _put(other, there, mine)
    else:  # a text for a number, or the other way round
        _put(holder, at, str(value) if isinstance(value, Token) else Token(str(value)))
    return printed(tree, draw).encode()


def _spoilt(text: bytes, draw: random.Random) -> bytes:
    """Some bytes are others."""
    at, length = draw.randrange(len(text)), draw.randrange(1, 12)
    what = draw.randrange(7)
    if what == 0:
        return text[:at]
    if what == 1:
        return text[:at] + bytes([draw.randrange(256)]) + text[at + 1 :]
    if what == 2:
        return text[:at] + text[at + length :]
    if what == 3:
        return text[: at + length] + text[at:]
    if what == 4:
        return text[:at] + draw.choice(PIECES) + text[at:]
    if what == 5:
        return bytes([text[at]]) + text[1:]
    return text + draw.choice([*PIECES, text])


def _nested(text: bytes, draw: random.Random) -> bytes:
    """Deep, or long."""
    depth = draw.choice((30, 300, 20_000))
    inner = draw.choice((b"[" * depth + b"]" * depth, b'{"a":' * depth, b"[" * depth))
    at = draw.randrange(len(text))
    return draw.choice((text[:at] + inner + text[at:], b"[7," + inner, inner))


def mutated(text: bytes, draw: random.Random) -> bytes:
    """Another text than this one."""
    ways: tuple[Callable[[bytes, random.Random], bytes], ...] = (_reshaped, _spoilt)
    while True:
        way = _nested if draw.random() < 0.002 else draw.choice(ways)
        found = text
        for _ in range(1 if draw.random() < 0.85 else 3):
            try:
                found = way(found, draw)
            except ValueError:  # it is no JSON any more
                found = _spoilt(found, draw)
            if not found:
                break
        if found != text:
            return found
