-- Subscriptions of connections: the channel at the provider, the channel that is being created, and
-- the position up to which changes have been read. They go with their connection.
CREATE TABLE subscriptions (
    number       INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    connection   BLOB    NOT NULL CHECK (length(connection) = 16),
    id           BLOB    NOT NULL CHECK (length(id) = 16),
    provider     TEXT    NOT NULL,
    app          TEXT    NOT NULL,
    account      TEXT    NOT NULL,
    account_host TEXT,
    grant_number INTEGER NOT NULL,
    version      INTEGER NOT NULL,
    watch        TEXT    NOT NULL,
    channel      TEXT CHECK (length(channel) = 32),
    resource     TEXT CHECK ((channel IS NULL) = (resource IS NULL)),
    expires_at   INTEGER,
    -- The lifetime that the provider granted, in milliseconds.
    granted      INTEGER CHECK (granted >= 0),
    candidate    TEXT CHECK (length(candidate) = 32),
    begun_at     INTEGER CHECK ((candidate IS NULL) = (begun_at IS NULL)),
    cursor       TEXT,
    notified     INTEGER NOT NULL DEFAULT 0,
    "read"       INTEGER NOT NULL DEFAULT 0,
    read_at      INTEGER,
    compared_at  INTEGER,
    failures     INTEGER NOT NULL DEFAULT 0,
    failed_at    INTEGER,
    error        TEXT,
    key_id       BLOB CHECK (length(key_id) = 8),
    sealed       BLOB CHECK ((key_id IS NULL) = (sealed IS NULL)),
    UNIQUE (tenant, connection, id),
    UNIQUE (tenant, connection, watch)
) STRICT;

CREATE UNIQUE INDEX subscriptions_by_channel ON subscriptions (channel) WHERE channel IS NOT NULL;
CREATE UNIQUE INDEX subscriptions_by_candidate ON subscriptions (candidate)
    WHERE candidate IS NOT NULL;

-- Channels that must be ended at their provider. They outlive their connection, with a copy of its
-- credential.
CREATE TABLE endings (
    number       INTEGER PRIMARY KEY,
    tenant       TEXT    NOT NULL,
    connection   BLOB    NOT NULL CHECK (length(connection) = 16),
    provider     TEXT    NOT NULL,
    app          TEXT    NOT NULL,
    account      TEXT    NOT NULL,
    account_host TEXT,
    watch        TEXT    NOT NULL,
    channel      TEXT    NOT NULL CHECK (length(channel) = 32),
    resource     TEXT,
    attempts     INTEGER NOT NULL DEFAULT 0,
    grant_number INTEGER,
    fence        INTEGER,
    key_id       BLOB CHECK (length(key_id) = 8),
    sealed       BLOB CHECK ((key_id IS NULL) = (sealed IS NULL)),
    UNIQUE (tenant, connection, channel)
) STRICT;
