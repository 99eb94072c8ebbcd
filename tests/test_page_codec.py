"""The page's frames: the golden bytes that the page's own tests read too, and every frame back."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ordertape._engine import NULL
from ordertape.page.codec import (
    KEY,
    Content,
    Gap,
    Header,
    HeatDelta,
    HeatKey,
    Ladder,
    Level,
    Queue,
    QueueLevel,
    Trade,
    Trades,
    decode,
    encode,
)
from ordertape.page.numbers import read_varint, read_zigzag, varint, zigzag

GOLDEN = Path(__file__).resolve().parent / "golden" / "page"
T_US = 1_790_000_000_123_400
FRAMES: dict[str, tuple[Header, Content]] = {
    "heat-key": (
        Header(1, 0, T_US, 3, KEY),
        HeatKey(6_400_000, 0, 6_400_012, 6_400_013, NULL, bytes([0, 1, 254, 255, 80])),
    ),
    "heat-delta": (
        Header(1, 1, T_US + 100_000, 3),
        HeatDelta(6_400_012, 6_400_014, 6_400_013, ((0, 7), (3, 0), (700, 254))),
    ),
    "heat-delta-empty": (Header(1, 2, T_US + 200_000, 3), HeatDelta(-5, NULL, NULL, ())),
    "gap": (Header(1, 3, T_US, 4, KEY), Gap(T_US, 0, "sequence jumped: größer")),
    "ladder-key": (
        Header(65_535, 4_294_967_295, T_US, 4, KEY),
        Ladder(
            (Level(6_400_012, 2**62, 3), Level(6_400_010, 1, 1)),
            (Level(6_400_013, 130_000_000, 200),),
        ),
    ),
    "ladder-delta": (Header(2, 1, T_US, 4), Ladder((Level(6_400_010, 0, 0),), ())),
    "queue-key": (
        Header(2, 2, T_US, 4, KEY),
        Queue(
            (
                QueueLevel(0, 6_400_012, 40, ((1, 5), (300, 2**40))),
                QueueLevel(1, 6_400_013, 1, ((2, 7),)),
            )
        ),
    ),
    "queue-gone": (Header(2, 3, T_US, 4), Queue((QueueLevel(1, 6_400_013, 0, ()),))),
    "trades": (
        Header(2, 4, T_US, 4),
        Trades((Trade(6_400_013, 5, 0, 0), Trade(6_400_012, 2**50, 1, 99_999))),
    ),
}


def described(header: Header, content: Content) -> dict[str, object]:
    """As the page's tests read it: numbers beyond 2^53, JavaScript's last whole one, as text."""

    def plain(value: object) -> object:
        if isinstance(value, bytes):
            return list(value)
        if isinstance(value, list | tuple):
            return [plain(part) for part in value]
        if isinstance(value, dict):
            return {name: plain(part) for name, part in value.items()}
        return str(value) if isinstance(value, int) and abs(value) > 2**53 else value

    return {
        "type": type(content).__name__,
        "header": plain(asdict(header)),
        "content": plain(asdict(content)),
    }


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_the_golden_bytes_that_the_page_reads(name: str) -> None:
    """Run this file by itself to renew them where the protocol is meant to change."""
    header, content = FRAMES[name]
    assert encode(header, content) == (GOLDEN / f"{name}.bin").read_bytes()
    assert described(header, content) == json.loads((GOLDEN / f"{name}.json").read_text())


@pytest.mark.parametrize("name", FRAMES)
def test_golden_frames_come_back_whole(name: str) -> None:
    assert decode((GOLDEN / f"{name}.bin").read_bytes()) == FRAMES[name]


@pytest.mark.parametrize("name", FRAMES)
def test_a_cut_frame_is_refused_in_a_sentence(name: str) -> None:
    header, content = FRAMES[name]
    whole = encode(header, content)
    for length in range(24):
        with pytest.raises(ValueError, match="expected a frame"):
            decode(whole[:length])
    for length in range(24, len(whole)):
        try:
            _, found = decode(whole[:length])
        except ValueError:
            continue
        assert isinstance(found, HeatDelta)  # a shorter one may be whole by itself
        assert found != content


@given(st.integers(0, 2**64 - 1), st.integers(-(2**63), 2**63 - 1))
def test_any_number_comes_back(unsigned: int, signed: int) -> None:
    assert read_varint(varint(unsigned), 0) == (unsigned, len(varint(unsigned)))
    assert read_zigzag(zigzag(signed), 0) == (signed, len(zigzag(signed)))


def test_a_number_that_no_varint_holds_is_refused() -> None:
    for value in (-1, 2**64):
        with pytest.raises(ValueError, match="varint"):
            varint(value)


def write_golden() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for name, (header, content) in FRAMES.items():
        (GOLDEN / f"{name}.bin").write_bytes(encode(header, content))
        text = json.dumps(described(header, content), indent=1, ensure_ascii=False)
        (GOLDEN / f"{name}.json").write_text(text + "\n")


if __name__ == "__main__":
    write_golden()
