-- The ledger of a batch run is its chunk rows: `first` is empty until the chunk is done. Totals stand in the batch run's
-- row, changed by the same transaction as the marks, so that looking at progress reads one row.

CREATE TABLE batch_runs (
    id           INTEGER PRIMARY KEY,
    name         TEXT NOT NULL,
    created      INTEGER NOT NULL,
    cause        TEXT NOT NULL,
    spec         BLOB NOT NULL,
    directory    TEXT NOT NULL,
    state        TEXT NOT NULL,
    wish         TEXT NOT NULL,
    started      INTEGER,
    finished     INTEGER,
    planned      INTEGER NOT NULL DEFAULT 0,
    sealed       INTEGER,
    done         INTEGER NOT NULL DEFAULT 0,
    expected     INTEGER NOT NULL DEFAULT 0,
    items        INTEGER NOT NULL DEFAULT 0,
    succeeded    INTEGER NOT NULL DEFAULT 0,
    failed       INTEGER NOT NULL DEFAULT 0,
    skipped      INTEGER NOT NULL DEFAULT 0,
    results      INTEGER NOT NULL DEFAULT 0,
    result_bytes INTEGER NOT NULL DEFAULT 0,
    retries      INTEGER NOT NULL DEFAULT 0,
    outcome      TEXT,
    told         TEXT,
    error        TEXT NOT NULL DEFAULT '',
    revision     INTEGER NOT NULL DEFAULT 0,
    groups       TEXT NOT NULL DEFAULT '[]',
    version      INTEGER NOT NULL DEFAULT 0,
    root         TEXT NOT NULL DEFAULT '',
    manifest     TEXT NOT NULL DEFAULT ''
) STRICT;
CREATE UNIQUE INDEX batch_runs_by_name ON batch_runs (name, created);
CREATE INDEX batch_runs_by_time ON batch_runs (created, name);
CREATE INDEX batch_runs_open ON batch_runs (created, name) WHERE state IN ('pending', 'running', 'finishing');
CREATE UNIQUE INDEX batch_runs_by_cause ON batch_runs (cause) WHERE cause <> '';

CREATE TABLE batch_chunks (
    run       INTEGER NOT NULL,
    number    INTEGER NOT NULL,
    chunk     BLOB NOT NULL,
    first     INTEGER,                 -- where its reader really began and ended
    behind    INTEGER,
    items     INTEGER NOT NULL DEFAULT 0,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed    INTEGER NOT NULL DEFAULT 0,
    skipped   INTEGER NOT NULL DEFAULT 0,
    results   INTEGER NOT NULL DEFAULT 0,
    bytes     INTEGER NOT NULL DEFAULT 0,
    retries   INTEGER NOT NULL DEFAULT 0,
    revision  INTEGER NOT NULL DEFAULT 0,
    parts     BLOB,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX batch_chunks_open ON batch_chunks (run, number) WHERE first IS NULL;

CREATE TABLE batch_failures (          -- dead letters of a chunk, counted by signature; they themselves are in files
    run       INTEGER NOT NULL,
    chunk     INTEGER NOT NULL,
    key       TEXT NOT NULL,
    signature TEXT NOT NULL,
    count     INTEGER NOT NULL,
    message   TEXT NOT NULL,
    PRIMARY KEY (run, chunk, key)
) STRICT, WITHOUT ROWID;
