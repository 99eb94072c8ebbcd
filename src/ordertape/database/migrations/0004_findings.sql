-- What the detectors found, a row each; a later phase of an iceberg renews its row.
CREATE TABLE findings (
    market int NOT NULL REFERENCES markets,
    finding text NOT NULL,
    revision bigint GENERATED ALWAYS AS IDENTITY,
    kind text NOT NULL,
    side text NOT NULL,
    phase text NOT NULL,
    began bigint NOT NULL,
    ended bigint NOT NULL,
    found bigint NOT NULL,
    told bigint NOT NULL,
    began_seq bigint NOT NULL,
    told_seq bigint NOT NULL,
    price_low numeric NOT NULL,
    price_high numeric NOT NULL,
    size numeric NOT NULL,
    filled numeric NOT NULL,
    score double precision NOT NULL,
    evidence jsonb NOT NULL,
    against jsonb NOT NULL,
    order_ids text[] NOT NULL,
    orders int NOT NULL,
    phases jsonb NOT NULL,
    PRIMARY KEY (market, finding)
);
CREATE INDEX findings_found ON findings (market, found, finding);
CREATE INDEX findings_revision ON findings (revision);
COMMENT ON TABLE findings IS 'ordertape: patterns of orders that detectors found';
COMMENT ON COLUMN findings.revision IS 'grows with every finding and every later phase';
COMMENT ON COLUMN findings.found IS 'ns; when it was found first; told: when it was told last';
COMMENT ON COLUMN findings.evidence IS 'the parts of the score, 0 to 1; against: what speaks against it';
COMMENT ON COLUMN findings.phases IS '[phase, ns] of each phase so far';

CREATE TABLE finding_cursors (
    market int PRIMARY KEY REFERENCES markets,
    seq bigint NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE finding_cursors IS
    'ordertape: how far each tape was looked through, moved in the transaction that stores findings';
