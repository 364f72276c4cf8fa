-- Version 2: guards and decisions, comparison of usages, retries over days.

DROP INDEX one_open_run;
CREATE UNIQUE INDEX one_open_run ON run (instance) WHERE state IN ('running', 'delivered');
CREATE UNIQUE INDEX one_held_run ON run (instance) WHERE state = 'held';

ALTER TABLE run ADD COLUMN tripped TEXT NOT NULL DEFAULT '[]'; -- JSON: the guards that held it
ALTER TABLE run ADD COLUMN changes TEXT; -- JSON: counts against the last confirmed usage
ALTER TABLE run ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN permanent INTEGER NOT NULL DEFAULT 0;

CREATE TABLE decision (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    instance TEXT NOT NULL,
    run_id   TEXT,
    what     TEXT NOT NULL,
    actor    TEXT NOT NULL,
    at       TEXT NOT NULL,
    reason   TEXT NOT NULL,
    ticket   TEXT,
    until    TEXT,
    used_at  TEXT
) STRICT;
CREATE INDEX decision_of_instance ON decision (instance, seq);

-- Keyed digests of accounts, sorted, in chunks, under the key of their delivery; and which of these usages is the confirmed one.
CREATE TABLE digest (
    instance TEXT NOT NULL,
    usage    TEXT NOT NULL,
    chunk    INTEGER NOT NULL,
    data     BLOB NOT NULL,
    PRIMARY KEY (instance, usage, chunk)
) STRICT;
CREATE TABLE confirmed_usage (
    instance TEXT PRIMARY KEY,
    usage    TEXT NOT NULL
) STRICT;

-- When an instance was removed from the configuration.
ALTER TABLE instance ADD COLUMN retired_at TEXT;
