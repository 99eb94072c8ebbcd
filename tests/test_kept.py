"""What is kept is bounded, and what is used stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from ordertape.kept import Kept


def test_the_least_used_goes_first() -> None:
    kept: Kept[str, int] = Kept(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert (kept.get("a"), kept.get("b"), kept.get("c")) == (1, None, 3)
    assert kept.first("a", 7) == 1
    kept.put("d", 4)
    assert (kept.get("a"), kept.get("c"), len(kept)) == (1, None, 2)


def test_who_comes_first_says_what_all_threads_get() -> None:
    kept: Kept[int, object] = Kept(8)
    with ThreadPoolExecutor(8) as threads:
        for key in range(50):
            found = list(threads.map(lambda _, key=key: kept.first(key, object()), range(16)))
            assert {id(one) for one in found} == {id(kept.get(key))}
    assert len(kept) == 8
