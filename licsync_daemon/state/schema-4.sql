-- Version 4: what deletions look for is indexed, and the day of the last one is kept.

CREATE INDEX run_ended ON run (ended_at);
CREATE INDEX good_run ON run (instance, seq) WHERE state IN ('confirmed', 'current', 'accepted');
CREATE INDEX delivery_closed ON delivery (closed_at);
CREATE INDEX alert_closed ON alert (closed_at);

CREATE TABLE pruned (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    at   TEXT NOT NULL -- by the cloud's clock
) STRICT;

DROP INDEX run_of_instance;
CREATE INDEX run_of_instance ON run (instance, seq, last_sync); -- the dates of all syncs without reading the runs
