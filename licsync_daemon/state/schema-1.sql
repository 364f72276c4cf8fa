-- The state file of version 1; later files change it in order. Instants are UTC text that sorts by time. It never contains an email
-- address, a person's name, or a token.

CREATE TABLE run (
    seq               INTEGER PRIMARY KEY AUTOINCREMENT, -- the order of recording; clocks jump, this does not
    run_id            TEXT NOT NULL UNIQUE,
    instance          TEXT NOT NULL,
    trigger           TEXT NOT NULL,
    reason            TEXT NOT NULL,
    slot              TEXT,
    started_at        TEXT NOT NULL,
    state             TEXT NOT NULL,
    phase             TEXT NOT NULL,
    waiting_for       TEXT,
    waiting_until     TEXT,
    holder            TEXT, -- JSON: the process that was at it last
    ended_at          TEXT,
    collected_at      TEXT,
    delivered_at      TEXT,
    confirmed_at      TEXT,
    last_sync         TEXT,
    rows              INTEGER NOT NULL,
    sent              INTEGER NOT NULL,
    suspended         INTEGER NOT NULL,
    unusable          INTEGER NOT NULL,
    without_address   INTEGER NOT NULL,
    total_users       INTEGER,
    seats_used        INTEGER,
    content_hash      TEXT,
    accounts_in_cloud INTEGER,
    code              TEXT,
    cause             TEXT,
    next_step         TEXT,
    retry_not_before  TEXT,
    notices           TEXT NOT NULL
) STRICT;
CREATE INDEX run_of_instance ON run (instance, seq);
CREATE UNIQUE INDEX one_open_run ON run (instance) WHERE state IN ('running', 'delivered');

CREATE TABLE transition (
    run_id TEXT NOT NULL REFERENCES run (run_id) ON DELETE CASCADE,
    at     TEXT NOT NULL,
    state  TEXT NOT NULL,
    code   TEXT
) STRICT;
CREATE INDEX transition_of_run ON transition (run_id);

CREATE TABLE delivery (
    key                  TEXT PRIMARY KEY,
    instance             TEXT NOT NULL,
    run_id               TEXT NOT NULL,
    slot                 TEXT,
    content_hash         TEXT NOT NULL,
    hostname             TEXT NOT NULL,
    server_id            TEXT,
    sent                 INTEGER NOT NULL,
    baseline_date        TEXT,
    baseline_answered_at TEXT,
    baseline_entry       TEXT NOT NULL,
    opened_at            TEXT NOT NULL,
    upload_id            TEXT,
    accepted_at          TEXT,
    closed_at            TEXT,
    outcome              TEXT
) STRICT;
CREATE UNIQUE INDEX one_open_delivery ON delivery (instance) WHERE closed_at IS NULL;

CREATE TABLE instance (
    name      TEXT PRIMARY KEY,
    hostname  TEXT NOT NULL,
    server_id TEXT,
    last_sync TEXT,
    seen_at   TEXT
) STRICT;

CREATE TABLE seats (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    read_at   TEXT NOT NULL,
    consumed  INTEGER,
    purchased INTEGER
) STRICT;
