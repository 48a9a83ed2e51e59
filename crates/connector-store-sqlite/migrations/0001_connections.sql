-- Times are milliseconds since 1970-01-01T00:00:00Z on the store's clock. Sealed bytes are opaque.

-- One row for each connection: its record, the claim that stands, and what recent claims led to.
CREATE TABLE connections (
    number                INTEGER PRIMARY KEY,
    tenant                TEXT    NOT NULL,
    id                    BLOB    NOT NULL CHECK (length(id) = 16),
    provider              TEXT    NOT NULL,
    app                   TEXT    NOT NULL,
    account               TEXT    NOT NULL,
    asserted              INTEGER NOT NULL CHECK (asserted IN (0, 1)),
    label                 TEXT,
    host                  TEXT,
    status                TEXT    NOT NULL,
    reason                TEXT,
    status_since          INTEGER NOT NULL,
    failures              INTEGER NOT NULL,
    check_at              INTEGER,
    check_error           TEXT,
    rotates               INTEGER NOT NULL CHECK (rotates IN (0, 1)),
    metadata              TEXT    NOT NULL,
    grant_number          INTEGER NOT NULL,
    generation            INTEGER NOT NULL,
    confirmed             INTEGER,
    fence                 INTEGER NOT NULL,
    version               INTEGER NOT NULL,
    created_at            INTEGER NOT NULL,
    updated_at            INTEGER NOT NULL,
    refreshed_at          INTEGER NOT NULL,
    claim_id              BLOB CHECK (length(claim_id) = 16),
    claim_grant           INTEGER,
    claim_generation      INTEGER,
    claim_fence           INTEGER,
    claim_kind            TEXT,
    claim_until           INTEGER,
    -- What the standing claim took over from a claim that was never resolved.
    superseded_id         BLOB CHECK (length(superseded_id) = 16),
    superseded_grant      INTEGER,
    superseded_generation INTEGER,
    superseded_fence      INTEGER,
    superseded_kind       TEXT,
    superseded_until      INTEGER,
    -- SHA-256 of the sealed credential that the grant began with, to recognise a repeated grant.
    first_sealed          BLOB    NOT NULL CHECK (length(first_sealed) = 32),
    -- The last 8 claims that led to a commit, newest first: 16 bytes of name, one of outcome.
    outcomes              BLOB    NOT NULL DEFAULT x'' CHECK (length(outcomes) <= 136),
    -- The last 8 claims whose failure was counted, newest first: 16 bytes of name each.
    failed_claims         BLOB    NOT NULL DEFAULT x'' CHECK (length(failed_claims) <= 128),
    UNIQUE (tenant, id),
    UNIQUE (tenant, provider, app, account)
) STRICT;

CREATE INDEX connections_of_a_tenant ON connections (tenant);
CREATE INDEX connections_of_an_account ON connections (provider, app, account);
CREATE INDEX connections_of_a_host ON connections (provider, app, host) WHERE host IS NOT NULL;

-- Sealed credentials, apart from the records: slot 0 current, 1 previous, 2 pending. For pending
-- ones `generation` is the generation that was spent.
CREATE TABLE credentials (
    number         INTEGER PRIMARY KEY,
    connection     INTEGER NOT NULL REFERENCES connections (number) ON DELETE CASCADE,
    slot           INTEGER NOT NULL CHECK (slot IN (0, 1, 2)),
    grant_number   INTEGER NOT NULL,
    generation     INTEGER NOT NULL,
    fence          INTEGER NOT NULL,
    access_until   INTEGER,
    refresh_until  INTEGER,
    key_id         BLOB    NOT NULL CHECK (length(key_id) = 8),
    sealed         BLOB    NOT NULL,
    UNIQUE (connection, slot, fence)
) STRICT;

-- Due work, in the order in which it is due: what a sweep leases lies side by side, in the table and
-- in the two indexes that a sweep reads, so that it changes few pages. It may outlive its connection.
--
-- A lease changes no row's length, because a row that grows in a full page moves its neighbours to
-- other pages: whether it stands is a column of its own, its number always has 4 bytes, as numbers
-- of leases begin at 2^24, and work that was never leased has its due time for the end of a lease.
CREATE TABLE work (
    due_at       INTEGER NOT NULL,
    kind         TEXT    NOT NULL,
    tenant       TEXT    NOT NULL,
    connection   BLOB    NOT NULL CHECK (length(connection) = 16),
    leased       INTEGER NOT NULL DEFAULT 0 CHECK (leased IN (0, 1)),
    -- The last lease and its end.
    lease        INTEGER NOT NULL DEFAULT 16777216,
    leased_until INTEGER NOT NULL,
    PRIMARY KEY (due_at, kind, tenant, connection)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX work_of_a_connection ON work (tenant, connection, kind);
CREATE INDEX work_waiting ON work (kind, due_at) WHERE leased = 0;
CREATE INDEX work_leased ON work (leased_until) WHERE leased = 1;

-- Where the numbers of leases come from, so that a later lease of anything has a higher one.
CREATE TABLE leases (
    only   INTEGER PRIMARY KEY CHECK (only = 1),
    number INTEGER NOT NULL
) STRICT;

INSERT INTO leases (only, number) VALUES (1, 16777216);

-- Token answers whose account is not known yet.
CREATE TABLE quarantine (
    number       INTEGER PRIMARY KEY,
    state        BLOB    NOT NULL UNIQUE CHECK (length(state) = 32),
    tenant       TEXT    NOT NULL,
    provider     TEXT    NOT NULL,
    app          TEXT    NOT NULL,
    available_at INTEGER NOT NULL,
    keep_until   INTEGER NOT NULL,
    -- SHA-256 of the sealed answer as it was put, to recognise a repeated call.
    first_sealed BLOB    NOT NULL CHECK (length(first_sealed) = 32),
    key_id       BLOB    NOT NULL CHECK (length(key_id) = 8),
    sealed       BLOB    NOT NULL
) STRICT;

CREATE INDEX quarantine_available ON quarantine (available_at);
CREATE INDEX quarantine_expired ON quarantine (keep_until);

-- Credentials that are kept only to be revoked. They outlive their connection.
CREATE TABLE revocations (
    number       INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    connection   BLOB    NOT NULL CHECK (length(connection) = 16),
    provider     TEXT    NOT NULL,
    app          TEXT    NOT NULL,
    account      TEXT    NOT NULL,
    grant_number INTEGER NOT NULL,
    fence        INTEGER NOT NULL,
    key_id       BLOB    NOT NULL CHECK (length(key_id) = 8),
    sealed       BLOB    NOT NULL,
    UNIQUE (tenant, connection, fence)
) STRICT;
