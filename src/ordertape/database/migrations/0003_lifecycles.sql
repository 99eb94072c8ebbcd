-- A row an order, written once its end is known; a leaf a day of told, as those of the events.
CREATE TABLE lifecycle_rows (
    market int NOT NULL,
    told_seq bigint NOT NULL,
    nth int NOT NULL,
    era int NOT NULL,
    told bigint NOT NULL,
    opened bigint NOT NULL,
    ended bigint NOT NULL,
    opened_seq bigint NOT NULL,
    ended_seq bigint NOT NULL,
    fills int NOT NULL,
    amendments int NOT NULL,
    inferred int NOT NULL,
    ahead_first int,
    ahead int,
    side smallint NOT NULL,
    ending smallint NOT NULL,
    reason smallint NOT NULL,
    flags smallint NOT NULL,
    order_id text NOT NULL,
    price_first numeric,
    price numeric,
    size_first numeric,
    size numeric,
    filled numeric,
    bid_first numeric,
    ask_first numeric,
    bid numeric,
    ask numeric
) PARTITION BY RANGE (told);
COMMENT ON TABLE lifecycle_rows IS 'ordertape: lives of orders, in codes; the view lifecycles shows them';
COMMENT ON COLUMN lifecycle_rows.told IS 'ns; when the event told_seq was received, by which the end became known';
COMMENT ON COLUMN lifecycle_rows.nth IS 'rank among the rows of a market that this event told';

CREATE TABLE lifecycle_cursors (
    market int PRIMARY KEY REFERENCES markets,
    told_seq bigint NOT NULL,
    nth int NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE lifecycle_cursors IS
    'ordertape: the last life of each market that is here, moved in the transaction that copies';

CREATE VIEW lifecycles AS
    SELECT m.exchange, m.symbol, r.order_id,
        CASE r.side WHEN 0 THEN 'bid' WHEN 1 THEN 'ask' END AS side,
        moment(r.opened) AS opened,
        moment(r.ended) AS ended,
        CASE r.ending WHEN 1 THEN 'told' WHEN 2 THEN 'cut' WHEN 3 THEN 'evicted' END AS ending,
        CASE r.reason WHEN 1 THEN 'filled' WHEN 2 THEN 'canceled' WHEN 3 THEN 'unknown'
            WHEN 4 THEN 'amended' WHEN 5 THEN 'self-trade' WHEN 6 THEN 'traded-as-taker'
            WHEN 7 THEN 'expired' WHEN 8 THEN 'admin' END AS reason,
        trim_scale(r.price_first) AS price_first,
        trim_scale(r.price) AS price,
        trim_scale(CASE r.side WHEN 0 THEN r.bid_first - r.price_first
            ELSE r.price_first - r.ask_first END) AS distance_first,
        trim_scale(CASE r.side WHEN 0 THEN r.bid - r.price ELSE r.price - r.ask END) AS distance,
        trim_scale(r.size_first) AS size_first,
        trim_scale(r.size) AS size,
        trim_scale(r.filled) AS filled,
        r.fills, r.amendments, r.inferred,
        r.ahead_first AS orders_ahead_first,
        r.ahead AS orders_ahead,
        trim_scale(r.bid_first) AS bid_first,
        trim_scale(r.ask_first) AS ask_first,
        trim_scale(r.bid) AS bid,
        trim_scale(r.ask) AS ask,
        r.flags & 1 <> 0 AS left_truncated,
        r.flags & 2 <> 0 AS place_assumed,
        r.flags & 4 <> 0 AS reentered,
        r.flags & 8 <> 0 AS out_of_window,
        r.era,
        r.opened_seq AS opened_sequence,
        r.ended_seq AS ended_sequence,
        r.told_seq AS told_sequence,
        r.nth,
        r.opened AS opened_ns,
        r.ended AS ended_ns,
        r.told AS told_ns
    FROM lifecycle_rows r JOIN markets m USING (market);
COMMENT ON VIEW lifecycles IS 'ordertape: orders from birth to end, a row each';
