-- Version 4: what is looked for is indexed, and the day of the last deletion is kept.

CREATE INDEX run_ended ON run (ended_at);
CREATE INDEX delivery_closed ON delivery (closed_at);
CREATE INDEX alert_closed ON alert (closed_at);

CREATE TABLE pruned (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    at   TEXT NOT NULL -- by the cloud's clock
) STRICT;

DROP INDEX run_of_instance;
CREATE INDEX run_of_instance ON run (instance, seq, last_sync); -- the dates of all syncs without reading the runs
-- Of several indexes that would do, SQLite uses the one that was created last: the narrower ones follow.
CREATE INDEX good_run ON run (instance, seq) WHERE state IN ('confirmed', 'current', 'accepted');
CREATE INDEX counted_run ON run (instance, seq) WHERE state IN ('confirmed', 'current', 'accepted') AND counted = 1 AND collected_at IS NOT NULL;
