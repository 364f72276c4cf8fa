-- Version 3: deliveries by a person, what the cloud lists, alerts.

CREATE UNIQUE INDEX one_awaiting_run ON run (instance) WHERE state IN ('awaiting_upload', 'awaiting_export');
ALTER TABLE run ADD COLUMN version TEXT; -- the instance's GHES version
ALTER TABLE run ADD COLUMN counted INTEGER NOT NULL DEFAULT 1; -- 0: an encrypted export, without counts

CREATE TABLE delivery_3 (
    key                  TEXT PRIMARY KEY,
    instance             TEXT NOT NULL,
    run_id               TEXT NOT NULL,
    slot                 TEXT,
    content_hash         TEXT NOT NULL,
    hostname             TEXT NOT NULL,
    server_id            TEXT,
    sent                 INTEGER, -- unknown of an opaque export
    baseline_date        TEXT,
    baseline_answered_at TEXT,
    baseline_entry       TEXT NOT NULL,
    opened_at            TEXT NOT NULL,
    upload_id            TEXT,
    accepted_at          TEXT,
    closed_at            TEXT,
    outcome              TEXT
) STRICT;
INSERT INTO delivery_3 SELECT key, instance, run_id, slot, content_hash, hostname, server_id, sent, baseline_date, baseline_answered_at,
    baseline_entry, opened_at, upload_id, accepted_at, closed_at, outcome FROM delivery ORDER BY rowid;
DROP TABLE delivery;
ALTER TABLE delivery_3 RENAME TO delivery;
CREATE UNIQUE INDEX one_open_delivery ON delivery (instance) WHERE closed_at IS NULL;
CREATE INDEX delivery_of_run ON delivery (run_id);

-- The cloud's list of servers as last read.
CREATE TABLE listed (
    number    INTEGER PRIMARY KEY,
    read_at   TEXT NOT NULL,
    server_id TEXT,
    hostname  TEXT,
    date      TEXT,
    status    TEXT,
    error     TEXT
) STRICT;

-- An alert is opened once, updated, and closed on recovery.
CREATE TABLE alert (
    instance   TEXT NOT NULL, -- '' for the fleet
    code       TEXT NOT NULL,
    severity   TEXT NOT NULL,
    text       TEXT NOT NULL,
    next_step  TEXT NOT NULL,
    opened_at  TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    told_at    TEXT, -- when the notifiers were told last; NULL: not yet
    closed_at  TEXT
) STRICT;
CREATE UNIQUE INDEX one_open_alert ON alert (instance, code) WHERE closed_at IS NULL;
