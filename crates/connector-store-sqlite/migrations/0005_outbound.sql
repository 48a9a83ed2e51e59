-- Endpoints of customers. `due_at` is when the next message for the endpoint is due, and `turn` is the
-- number of its last lease: endpoints with due messages take turns.
CREATE TABLE endpoints (
    number        INTEGER PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    id            BLOB    NOT NULL CHECK (length(id) = 16),
    provider      TEXT    NOT NULL,
    label         TEXT    NOT NULL,
    alias         TEXT,
    -- One event type per line.
    event_types   TEXT    NOT NULL,
    ordered       INTEGER NOT NULL CHECK (ordered IN (0, 1)),
    state         TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    failures      INTEGER NOT NULL DEFAULT 0,
    failing_since INTEGER,
    succeeded_at  INTEGER,
    failed_at     INTEGER,
    status        INTEGER,
    error         TEXT,
    not_before    INTEGER,
    delivered     INTEGER NOT NULL DEFAULT 0,
    failed        INTEGER NOT NULL DEFAULT 0,
    due_at        INTEGER,
    turn          INTEGER NOT NULL DEFAULT 0,
    key_id        BLOB    NOT NULL CHECK (length(key_id) = 8),
    sealed        BLOB    NOT NULL,
    UNIQUE (tenant, id)
) STRICT;

CREATE UNIQUE INDEX endpoints_by_alias ON endpoints (tenant, provider, alias)
    WHERE alias IS NOT NULL;
CREATE INDEX endpoints_of_a_tenant ON endpoints (tenant, provider);
CREATE INDEX endpoints_due ON endpoints (due_at) WHERE due_at IS NOT NULL;

-- Messages for endpoints, each stored once for all endpoints that receive it.
CREATE TABLE messages (
    number      INTEGER PRIMARY KEY,
    tenant      TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    event_type  TEXT    NOT NULL,
    resource    TEXT,
    at          INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    keep_until  INTEGER NOT NULL,
    key_id      BLOB    NOT NULL CHECK (length(key_id) = 8),
    sealed      BLOB    NOT NULL,
    UNIQUE (tenant, provider, id)
) STRICT;

CREATE INDEX messages_kept ON messages (keep_until);

-- One message for one endpoint. `due_at` is when a waiting one is handed out next: for one that is
-- leased, the end of its lease. `lane` is the resource, if the endpoint keeps the order per resource.
-- Numbers follow the order in which messages were enqueued.
CREATE TABLE outbound (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    endpoint INTEGER NOT NULL,
    message  INTEGER NOT NULL,
    state    TEXT    NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    tries    INTEGER NOT NULL DEFAULT 0,
    error    TEXT,
    due_at   INTEGER NOT NULL,
    lease    INTEGER NOT NULL DEFAULT 0,
    lane     TEXT,
    UNIQUE (endpoint, message)
) STRICT;

CREATE INDEX outbound_waiting ON outbound (endpoint, due_at) WHERE state = 'waiting';
CREATE INDEX outbound_leased ON outbound (due_at, endpoint) WHERE lease > 0;
CREATE INDEX outbound_of_a_message ON outbound (message);
CREATE INDEX outbound_of_an_endpoint ON outbound (endpoint, state, number);
CREATE INDEX outbound_of_a_lane ON outbound (endpoint, lane, number)
    WHERE lane IS NOT NULL AND state IN ('waiting', 'held');

-- The delivery log.
CREATE TABLE attempts (
    number   INTEGER PRIMARY KEY,
    delivery INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    at       INTEGER NOT NULL,
    -- Milliseconds.
    took     INTEGER NOT NULL,
    status   INTEGER,
    error    TEXT,
    excerpt  TEXT
) STRICT;

CREATE INDEX attempts_of_a_delivery ON attempts (delivery, number);
