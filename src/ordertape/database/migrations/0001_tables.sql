-- Run with the schema alone on the search path.  Every relation made here gets a comment that begins
-- with "ordertape", by which check and drop know what is ours.

CREATE TABLE ordertape_schema (
    version int PRIMARY KEY,
    name text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE ordertape_schema IS 'ordertape: the migrations that made these tables';

CREATE TABLE markets (
    market int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    exchange text NOT NULL,
    symbol text NOT NULL,
    origin text NOT NULL CHECK (origin IN ('tape', 'saved')),
    keep boolean NOT NULL DEFAULT false,
    simulated boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (exchange, symbol)
);
COMMENT ON TABLE markets IS 'ordertape: markets with events here';
COMMENT ON COLUMN markets.origin IS 'tape: copied from a recorded tape; saved: put here through L3Repository';
COMMENT ON COLUMN markets.keep IS 'retention leaves its days alone (imports and saved rows)';

CREATE TABLE generations (
    generation int PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    market int NOT NULL REFERENCES markets,
    from_seq bigint NOT NULL,
    price_scale smallint NOT NULL CHECK (price_scale BETWEEN 0 AND 38),
    size_scale smallint NOT NULL CHECK (size_scale BETWEEN 0 AND 38),
    order_form text NOT NULL CHECK (order_form IN ('bigint', 'uuid', 'text')),
    trade_form text NOT NULL CHECK (trade_form IN ('bigint', 'uuid', 'text')),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX generations_market ON generations (market);
COMMENT ON TABLE generations IS
    'ordertape: a market''s events at one scale and form of ids stand in the table events_<generation>';
COMMENT ON COLUMN generations.price_scale IS 'digits after the point of the integers in column price';

CREATE TABLE cursors (
    market int PRIMARY KEY REFERENCES markets,
    seq bigint NOT NULL,
    ts_recv bigint NOT NULL,
    era int NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE cursors IS 'ordertape: how far each tape is copied, moved in the transaction that copies';

CREATE TABLE level3_snapshots (
    market int NOT NULL REFERENCES markets,
    exchange text NOT NULL,
    symbol text NOT NULL,
    sequence bigint NOT NULL,
    "timestamp" timestamptz NOT NULL,
    bids jsonb NOT NULL,
    asks jsonb NOT NULL,
    total_bid_orders bigint NOT NULL,
    total_ask_orders bigint NOT NULL,
    total_bid_volume numeric NOT NULL,
    total_ask_volume numeric NOT NULL,
    best_bid numeric,
    best_ask numeric,
    era int,
    ts_recv bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (market, sequence)
);
CREATE INDEX level3_snapshots_timestamp ON level3_snapshots ("timestamp");
CREATE INDEX level3_snapshots_name ON level3_snapshots (exchange, symbol, ts_recv);
COMMENT ON TABLE level3_snapshots IS 'ordertape: whole books, thinned with age';

CREATE TABLE level3_gaps (
    market int NOT NULL REFERENCES markets,
    exchange text NOT NULL,
    symbol text NOT NULL,
    from_ns bigint NOT NULL,
    to_ns bigint,
    gap_from timestamptz NOT NULL,
    gap_to timestamptz,
    reason text NOT NULL,
    healed_by bigint,
    era int,
    missing_from bigint,
    missing_to bigint,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (market, from_ns)
);
COMMENT ON TABLE level3_gaps IS 'ordertape: noticed losses; to_ns is null while one lasts';
COMMENT ON COLUMN level3_gaps.healed_by IS 'seq of the CLEAR whose book ended it';

-- The moment so many nanoseconds after 1970, cut to microseconds: what timestamptz holds.
CREATE FUNCTION moment(ns bigint) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN to_timestamp((ns / 1000) / 1e6::float8);
COMMENT ON FUNCTION moment(bigint) IS 'ordertape: nanoseconds since 1970 as a timestamptz';

-- Its inverse, for conditions on ts_recv: those leave out days, conditions on "timestamp" do not.
CREATE FUNCTION ns(moment timestamptz) RETURNS bigint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN (extract(epoch FROM moment) * 1000000)::bigint * 1000;
COMMENT ON FUNCTION ns(timestamptz) IS 'ordertape: a timestamptz as nanoseconds since 1970';

-- The events of one order by the index on order_id, which a condition on the view can't use: there
-- ids are text.
CREATE FUNCTION order_history(an_exchange text, a_symbol text, an_order text)
    RETURNS TABLE (
        exchange text, symbol text, order_id text, sequence bigint, side text, price numeric,
        size numeric, event_type text, "timestamp" timestamptz, metadata jsonb,
        created_at timestamptz, ts_recv bigint)
    LANGUAGE plpgsql STABLE STRICT SET search_path FROM CURRENT AS $$
DECLARE
    part record;
    seqs bigint[];
    first_ts bigint;
    last_ts bigint;
BEGIN
    FOR part IN
        SELECT g.generation, g.order_form FROM generations g JOIN markets m USING (market)
        WHERE m.exchange = an_exchange AND m.symbol = a_symbol ORDER BY g.generation
    LOOP
        -- What is no id of this form can't stand in this table.
        CONTINUE WHEN part.order_form = 'bigint'
            AND (an_order !~ '^(0|[1-9][0-9]{0,18})$' OR an_order::numeric > 9223372036854775807);
        CONTINUE WHEN part.order_form = 'uuid'
            AND an_order !~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$';
        EXECUTE format(
            'SELECT array_agg(seq), min(ts_recv), max(ts_recv) FROM %I WHERE order_id = $1::%s',
            'events_' || part.generation, part.order_form)
            INTO seqs, first_ts, last_ts USING an_order;
        CONTINUE WHEN seqs IS NULL;
        RETURN QUERY EXECUTE
            'SELECT * FROM level3_orders WHERE exchange = $1 AND symbol = $2 '
            'AND sequence = ANY ($3) AND ts_recv BETWEEN $4 AND $5 ORDER BY sequence'
            USING an_exchange, a_symbol, seqs, first_ts, last_ts;
    END LOOP;
END $$;
COMMENT ON FUNCTION order_history(text, text, text) IS
    'ordertape: the events of one order, oldest first; quick, where level3_orders would be read whole';

-- The first event of a tape's market received at or after a moment.  ts_recv never decreases with
-- seq there, so that halving finds it by the index on seq and no index on time is needed.
CREATE FUNCTION seq_from(an_exchange text, a_symbol text, ns bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE STRICT SET search_path FROM CURRENT AS $$
DECLARE
    leaf text;
    low bigint;
    high bigint;
    middle bigint;
    found_seq bigint;
    found_ts bigint;
BEGIN
    FOR leaf IN
        SELECT c.relname FROM generations g JOIN markets m USING (market)
        JOIN pg_inherits i ON i.inhparent = to_regclass('events_' || g.generation)
        JOIN pg_class c ON c.oid = i.inhrelid
        WHERE m.exchange = an_exchange AND m.symbol = a_symbol
            AND extract(epoch FROM (right(c.relname, 8)::date + 1))::bigint * 1000000000 > ns
        ORDER BY g.generation, c.relname
    LOOP
        EXECUTE format('SELECT min(seq), max(seq) FROM %I', leaf) INTO low, high;
        CONTINUE WHEN low IS NULL;
        EXECUTE format('SELECT ts_recv FROM %I WHERE seq = $1', leaf) INTO found_ts USING high;
        CONTINUE WHEN found_ts < ns;
        WHILE low < high LOOP
            middle := low + (high - low) / 2;
            EXECUTE format('SELECT seq, ts_recv FROM %I WHERE seq >= $1 ORDER BY seq LIMIT 1', leaf)
                INTO found_seq, found_ts USING middle;
            IF found_ts >= ns THEN
                high := middle;
            ELSE
                low := found_seq + 1;
            END IF;
        END LOOP;
        EXECUTE format('SELECT min(seq) FROM %I WHERE seq >= $1', leaf) INTO found_seq USING low;
        RETURN found_seq;
    END LOOP;
    RETURN NULL;
END $$;
COMMENT ON FUNCTION seq_from(text, text, bigint) IS
    'ordertape: the first sequence of a market received at or after so many ns since 1970';
