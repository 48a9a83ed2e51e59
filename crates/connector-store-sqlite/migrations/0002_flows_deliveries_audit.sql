-- Connect flows. `expires_at` is the end of waiting until the callback came, and the end of keeping
-- from then on.
CREATE TABLE states (
    number     INTEGER PRIMARY KEY,
    state      BLOB    NOT NULL UNIQUE CHECK (length(state) = 32),
    tenant     TEXT    NOT NULL,
    provider   TEXT    NOT NULL,
    app        TEXT    NOT NULL,
    binding    BLOB    NOT NULL CHECK (length(binding) = 32),
    expires_at INTEGER NOT NULL,
    keep_for   INTEGER NOT NULL,
    code       BLOB CHECK (length(code) = 32),
    -- 1 once a callback came with another code.
    conflict   INTEGER NOT NULL DEFAULT 0 CHECK (conflict IN (0, 1)),
    outcome    TEXT,
    key_id     BLOB    NOT NULL CHECK (length(key_id) = 8),
    sealed     BLOB    NOT NULL
) STRICT;

CREATE INDEX states_open ON states (tenant, expires_at) WHERE code IS NULL;
CREATE INDEX states_unfinished ON states (tenant, expires_at) WHERE outcome IS NULL;
CREATE INDEX states_expired ON states (expires_at);

-- Deliveries in both directions. `due_at` is when a waiting one is handed out next: for one that is
-- leased, the end of its lease. Deliveries are handed out by turns of owners and of their lanes.
CREATE TABLE deliveries (
    number      INTEGER PRIMARY KEY,
    direction   TEXT    NOT NULL,
    provider    TEXT    NOT NULL,
    app         TEXT    NOT NULL,
    endpoint    TEXT    NOT NULL,
    id          TEXT    NOT NULL,
    tenant      TEXT,
    state       TEXT    NOT NULL,
    attempts    INTEGER NOT NULL DEFAULT 0,
    error       TEXT,
    accepted_at INTEGER NOT NULL,
    due_at      INTEGER NOT NULL,
    keep_until  INTEGER NOT NULL,
    lease       INTEGER NOT NULL DEFAULT 0,
    owner       TEXT    NOT NULL,
    lane        TEXT    NOT NULL,
    content     BLOB CHECK (length(content) = 32),
    key_id      BLOB    NOT NULL CHECK (length(key_id) = 8),
    sealed      BLOB    NOT NULL,
    UNIQUE (direction, provider, app, endpoint, id)
) STRICT;

CREATE INDEX deliveries_waiting ON deliveries (direction, due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_leased ON deliveries (direction, due_at) WHERE state = 'waiting' AND lease > 0;
CREATE INDEX deliveries_of_an_owner ON deliveries (direction, provider, app, endpoint, owner) WHERE state = 'waiting';
CREATE INDEX deliveries_alike ON deliveries (content, accepted_at) WHERE content IS NOT NULL;
CREATE INDEX deliveries_ended ON deliveries (keep_until) WHERE state <> 'waiting';
CREATE INDEX deliveries_of_a_tenant ON deliveries (tenant);

-- The audit log. Numbers are never used twice, also after rows were taken out by hand.
CREATE TABLE audit (
    number       INTEGER PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    class        TEXT    NOT NULL,
    tenant       TEXT    NOT NULL,
    provider     TEXT    NOT NULL,
    app          TEXT    NOT NULL,
    connection   BLOB CHECK (length(connection) = 16),
    actor        TEXT    NOT NULL,
    correlation  TEXT    NOT NULL,
    event        TEXT    NOT NULL,
    notify       INTEGER NOT NULL CHECK (notify IN (0, 1)),
    handled      INTEGER NOT NULL DEFAULT 0 CHECK (handled IN (0, 1)),
    lease        INTEGER NOT NULL DEFAULT 0,
    leased_until INTEGER
) STRICT;

CREATE INDEX audit_of_a_tenant ON audit (tenant);
CREATE INDEX audit_of_a_connection ON audit (connection) WHERE connection IS NOT NULL;
CREATE INDEX audit_unhandled ON audit (number) WHERE notify = 1 AND handled = 0;
