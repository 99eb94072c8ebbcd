"""The id codecs of one market, and batches that come with codecs of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ordertape import limits
from ordertape._engine import EventBatch, IdCodec
from ordertape.errors import TapeCorrupt
from ordertape.events import COLUMNS, ID_COLUMNS
from ordertape.tape.marks import Mark, terms_mark

__all__ = ["MarketCodecs"]

NAMES = ("order", "trade")


class MarketCodecs:
    """Order and trade codec of a market, and how many dictionary terms its tape knows.

    Keys mean ids only together with their dictionary, so that a term is on the tape before a key
    of it is, and a batch made with another dictionary is written over in this one's keys.
    """

    def __init__(self, order: IdCodec | None = None, trade: IdCodec | None = None) -> None:
        self.order = order if order is not None else IdCodec()
        self.trade = trade if trade is not None else IdCodec()
        self.written = [self.order.terms, self.trade.terms]

    @property
    def specs(self) -> tuple[str, str]:
        return self.order.spec, self.trade.spec

    def with_specs(self, order: str, trade: str) -> MarketCodecs:
        """These codecs where they have those specs, else such codecs with the same dictionaries."""
        return MarketCodecs(_as(self.order, order), _as(self.trade, trade))

    def share(self, other: MarketCodecs) -> None:
        """Takes over another's codecs; what this tape knows of their dictionaries stays."""
        self.order, self.trade = other.order, other.trade

    def load(self, mark: Mark) -> None:
        """Takes in a ``terms`` mark that is on the tape."""
        which = NAMES.index(mark.fields["codec"])
        codec = (self.order, self.trade)[which]
        start, terms = mark.fields["start"], mark.fields["terms"]
        if start > codec.terms:
            raise TapeCorrupt(f"expected dictionary term {codec.terms}, found term {start}")
        codec.load_terms(start, terms)
        self.written[which] = max(self.written[which], start + len(terms))

    def unwritten(self, seq: int, ts: int) -> Iterator[Mark]:
        """``terms`` marks of what the tape does not know yet; known once this is exhausted."""
        for which, codec in enumerate((self.order, self.trade)):
            while self.written[which] < codec.terms:
                start = self.written[which]
                terms = _up_to(codec.terms_from(start), limits.terms_mark_bytes_max)
                yield terms_mark(NAMES[which], start, terms, seq, ts)
                self.written[which] = start + len(terms)

    def adopt(self, batch: EventBatch) -> EventBatch:
        """The batch in this market's keys: itself unless it came with a dictionary of its own."""
        if self.order.spec == "auto" and self.order.terms == 0:
            self.order = batch.codec
        if self.trade.spec == "auto" and self.trade.terms == 0:
            self.trade = batch.trade_codec
        if _same(self.order, batch.codec) and _same(self.trade, batch.trade_codec):
            return batch
        return self._rewritten(batch)

    def _rewritten(self, batch: EventBatch) -> EventBatch:
        columns: dict[str, Any] = {
            name: column for name in COLUMNS if (column := batch.column(name)) is not None
        }
        for name in ID_COLUMNS:
            if name in columns:
                columns[name] = batch.id_texts(name)
        return EventBatch.from_arrays(
            **columns,
            price_scale=batch.price_scale,
            size_scale=batch.size_scale,
            codec=self.order,
            trade_codec=self.trade,
        )


def _same(ours: IdCodec, theirs: IdCodec) -> bool:
    """Whether their keys mean the same ids in ours."""
    return ours == theirs or (theirs.terms == 0 and theirs.spec in {ours.spec, "auto"})


def _as(codec: IdCodec, spec: str) -> IdCodec:
    if codec.spec == spec:
        return codec
    other = IdCodec(spec)
    other.load_terms(0, codec.terms_from(0))
    return other


def _up_to(terms: Sequence[str], bytes_max: int) -> list[str]:
    """The first terms that fit, at least one."""
    taken: list[str] = []
    total = 0
    for term in terms:
        total += len(term) + 4
        if taken and total > bytes_max:
            break
        taken.append(term)
    return taken
