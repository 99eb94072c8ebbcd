"""BLAKE3 of up to one chunk (1,024 bytes), after its specification: digests are checked with it."""

from __future__ import annotations

__all__ = ["blake3"]

_IV = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_COLUMNS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
_DIAGONALS = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_CHUNK_START, _CHUNK_END, _ROOT = 1, 2, 8
_BLOCK, _CHUNK = 64, 1024
_MASK = 2**32 - 1


def _rotated(value: int, by: int) -> int:
    return (value >> by | value << (32 - by)) & _MASK


def _mix(state: list[int], at: tuple[int, int, int, int], x: int, y: int) -> None:
    a, b, c, d = at
    for word, right, left in ((x, 16, 12), (y, 8, 7)):
        state[a] = (state[a] + state[b] + word) & _MASK
        state[d] = _rotated(state[d] ^ state[a], right)
        state[c] = (state[c] + state[d]) & _MASK
        state[b] = _rotated(state[b] ^ state[c], left)


def _compress(chain: list[int], block: bytes, flags: int) -> list[int]:
    padded = block.ljust(_BLOCK, b"\0")
    words = [int.from_bytes(padded[n : n + 4], "little") for n in range(0, _BLOCK, 4)]
    state = [*chain, *_IV[:4], 0, 0, len(block), flags]
    for _ in range(7):
        for nth, at in enumerate(_COLUMNS + _DIAGONALS):
            _mix(state, at, words[2 * nth], words[2 * nth + 1])
        words = [words[n] for n in _PERMUTATION]
    return [state[n] ^ state[n + 8] for n in range(8)]


def blake3(data: bytes) -> str:
    """The first 128 bits as hex."""
    assert len(data) <= _CHUNK
    chain = list(_IV)
    blocks = [data[n : n + _BLOCK] for n in range(0, len(data), _BLOCK)] or [b""]
    for nth, block in enumerate(blocks):
        flags = _CHUNK_START if nth == 0 else 0
        if nth == len(blocks) - 1:
            flags |= _CHUNK_END | _ROOT
        chain = _compress(chain, block, flags)
    return b"".join(word.to_bytes(4, "little") for word in chain)[:16].hex()
