-- No tape holds these: `db drop` leaves them, and they are taken as they are where they stayed.  Whatever
-- later migration changes them says IF NOT EXISTS, too.
CREATE TABLE IF NOT EXISTS alert_rules (
    rule bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    exchange text NOT NULL,
    symbol text NOT NULL,
    kind text NOT NULL,
    spec jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE alert_rules IS 'ordertape: what people asked to be told of';
COMMENT ON COLUMN alert_rules.spec IS 'everything else that the rule says; decimal numbers as texts';

-- Alerts stay when their rule goes.
CREATE TABLE IF NOT EXISTS alerts (
    alert text PRIMARY KEY,
    rule bigint NOT NULL,
    kind text NOT NULL,
    exchange text NOT NULL,
    symbol text NOT NULL,
    "timestamp" timestamptz NOT NULL,
    ts bigint NOT NULL,
    subject text NOT NULL,
    text text NOT NULL,
    price numeric,
    size numeric,
    side text,
    order_id text,
    left_out int NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS alerts_ts ON alerts (ts, alert);
CREATE INDEX IF NOT EXISTS alerts_market ON alerts (exchange, symbol, ts, alert);
COMMENT ON TABLE alerts IS 'ordertape: alerts that fired, once for each subject of a rule';
COMMENT ON COLUMN alerts.alert IS 'made of rule and subject, so that nothing is told twice';
COMMENT ON COLUMN alerts.ts IS 'ns since 1970 of our clock';
COMMENT ON COLUMN alerts.left_out IS 'alerts of the rule before it that came too often';
