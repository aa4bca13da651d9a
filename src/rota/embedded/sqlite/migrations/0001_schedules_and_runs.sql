-- Everything that is read in time order is clustered by time, so that taking what is due and writing what is done touches
-- neighbouring pages; secondary indexes cover only the rows that need them.

CREATE TABLE specs (                   -- what many runs share, stored once
    id   INTEGER PRIMARY KEY,
    body TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE schedules (
    id         TEXT PRIMARY KEY,
    definition TEXT NOT NULL,
    payload    BLOB NOT NULL,
    owner      TEXT NOT NULL,
    next_tick  INTEGER,
    next_skip  TEXT,
    fired      INTEGER NOT NULL,
    paused     TEXT,
    version    INTEGER NOT NULL,
    created    INTEGER NOT NULL,
    updated    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX schedules_due ON schedules (next_tick, id) WHERE next_tick IS NOT NULL AND paused IS NULL;

CREATE TABLE schedule_tags (
    tag         TEXT NOT NULL,
    schedule_id TEXT NOT NULL,
    PRIMARY KEY (tag, schedule_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE ticks (                   -- the tick ledger
    schedule_id TEXT NOT NULL,
    scheduled   INTEGER NOT NULL,
    until       INTEGER NOT NULL,
    count       INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    reason      TEXT,
    detail      TEXT NOT NULL,
    decided     INTEGER NOT NULL,
    PRIMARY KEY (schedule_id, scheduled)
) STRICT, WITHOUT ROWID;
CREATE INDEX ticks_by_time ON ticks (until);

CREATE TABLE runs_pending (            -- accepted, waiting for their time
    due         INTEGER NOT NULL,
    schedule_id TEXT NOT NULL,
    scheduled   INTEGER NOT NULL,
    spec        INTEGER NOT NULL,
    payload     BLOB NOT NULL,
    attempt     INTEGER NOT NULL,
    recurring   INTEGER NOT NULL,
    moved       INTEGER NOT NULL,      -- 1 if the run id alone does not give the primary key, or its schedule is stored
    PRIMARY KEY (due, schedule_id, scheduled)
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_pending_moved ON runs_pending (schedule_id, scheduled) WHERE moved = 1;

CREATE TABLE runs_open (               -- running (held = 0), or held back by the overlap policy (held = 1)
    schedule_id TEXT NOT NULL,
    scheduled   INTEGER NOT NULL,
    due         INTEGER NOT NULL,
    spec        INTEGER NOT NULL,
    payload     BLOB NOT NULL,
    attempt     INTEGER NOT NULL,
    recurring   INTEGER NOT NULL,
    held        INTEGER NOT NULL,
    started     INTEGER,
    cancel      INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (schedule_id, scheduled)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs_done (
    scheduled   INTEGER NOT NULL,
    schedule_id TEXT NOT NULL,
    due         INTEGER NOT NULL,
    started     INTEGER,
    finished    INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    outcome     INTEGER NOT NULL,      -- index into rota.core.run.OUTCOMES
    recurring   INTEGER NOT NULL,
    spec        INTEGER NOT NULL,
    payload     BLOB NOT NULL,
    value       BLOB,
    failure     TEXT,
    PRIMARY KEY (scheduled, schedule_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_done_by_schedule ON runs_done (schedule_id, scheduled) WHERE recurring = 1;
CREATE INDEX runs_done_unsuccessful ON runs_done (outcome, scheduled, schedule_id) WHERE outcome <> 0;

CREATE TABLE attempts (                -- those that failed or were interrupted
    schedule_id TEXT NOT NULL,
    scheduled   INTEGER NOT NULL,
    started     INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    finished    INTEGER NOT NULL,
    failure     TEXT,
    PRIMARY KEY (schedule_id, scheduled, started, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    schedule_id TEXT NOT NULL,
    scheduled   INTEGER NOT NULL,
    at          INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    recurring   INTEGER NOT NULL,
    spec        INTEGER NOT NULL,
    payload     BLOB NOT NULL,
    failure     TEXT,
    PRIMARY KEY (schedule_id, scheduled)
) STRICT, WITHOUT ROWID;

CREATE TABLE messages (                -- embedded queues
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    queue      TEXT NOT NULL,
    visible_at INTEGER NOT NULL,
    body       BLOB NOT NULL,
    sent       INTEGER NOT NULL,
    received   INTEGER NOT NULL DEFAULT 0,
    run_id     TEXT
) STRICT;
CREATE INDEX messages_visible ON messages (queue, visible_at, id);
CREATE UNIQUE INDEX messages_by_run ON messages (queue, run_id) WHERE run_id IS NOT NULL;
