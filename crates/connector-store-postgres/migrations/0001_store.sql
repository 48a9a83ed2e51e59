-- Times are milliseconds since 1970-01-01T00:00:00Z on the store's clock. Sealed bytes are opaque.
-- Names are compared byte by byte (collation "C"), so that an update of the operating system never
-- changes the order of an index.

-- One row for each connection: its record, its credentials, its claim, and the outcomes of recent
-- claims. Everything is in one row, so that a claim and a commit are one statement each, and so that
-- no read is torn. The secrets are stored out of line, so that a claim does not copy them.
CREATE TABLE @.connections (
    number                bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant                text    COLLATE "C" NOT NULL,
    id                    bytea   NOT NULL CHECK (octet_length(id) = 16),
    provider              text    COLLATE "C" NOT NULL,
    app                   text    COLLATE "C" NOT NULL,
    account               text    COLLATE "C" NOT NULL,
    asserted              boolean NOT NULL,
    label                 text,
    host                  text    COLLATE "C",
    status                text    COLLATE "C" NOT NULL,
    reason                text,
    status_since          bigint  NOT NULL,
    failures              bigint  NOT NULL DEFAULT 0,
    check_at              bigint,
    check_error           text,
    rotates               boolean NOT NULL DEFAULT false,
    metadata              text    NOT NULL,
    grant_number          bigint  NOT NULL,
    generation            bigint  NOT NULL,
    confirmed             bigint,
    fence                 bigint  NOT NULL,
    version               bigint  NOT NULL DEFAULT 1,
    created_at            bigint  NOT NULL,
    updated_at            bigint  NOT NULL,
    refreshed_at          bigint  NOT NULL,
    -- The current claim. There is none if the id is null; the other columns may then have old values.
    claim_id              bytea   CHECK (octet_length(claim_id) = 16),
    claim_grant           bigint,
    claim_generation      bigint,
    claim_fence           bigint,
    claim_kind            text    COLLATE "C",
    claim_until           bigint,
    -- The claim that the current claim superseded, because it was never resolved.
    superseded_id         bytea   CHECK (octet_length(superseded_id) = 16),
    superseded_grant      bigint,
    superseded_generation bigint,
    superseded_fence      bigint,
    superseded_kind       text    COLLATE "C",
    superseded_until      bigint,
    -- The current and the previous credential. Slot `a` is the current one, or slot `b` if `flip` is
    -- true. A slot without sealed bytes is empty.
    flip                  boolean NOT NULL DEFAULT false,
    a_grant               bigint,
    a_generation          bigint,
    a_fence               bigint,
    a_access              bigint,
    a_refresh             bigint,
    a_key                 bytea   CHECK (octet_length(a_key) = 8),
    a_sealed              bytea,
    b_grant               bigint,
    b_generation          bigint,
    b_fence               bigint,
    b_access              bigint,
    b_refresh             bigint,
    b_key                 bytea   CHECK (octet_length(b_key) = 8),
    b_sealed              bytea,
    -- Pending pairs, newest fence first; null if there are none. `pending_base` is the generation
    -- whose refresh token was used.
    pending_grant         bigint[],
    pending_base          bigint[],
    pending_fence         bigint[],
    pending_access        bigint[],
    pending_refresh       bigint[],
    pending_key           bytea[],
    pending_sealed        bytea[],
    -- SHA-256 of the sealed credential that the grant began with, to recognize a repeated grant.
    first_sealed          bytea   NOT NULL CHECK (octet_length(first_sealed) = 32),
    -- The last 8 claims that led to a commit, newest first: 16 bytes of id, one of outcome.
    outcomes              bytea   NOT NULL DEFAULT ''::bytea CHECK (octet_length(outcomes) <= 136),
    -- The last 8 claims whose failure was counted, newest first: 16 bytes of id each.
    failed_claims         bytea   NOT NULL DEFAULT ''::bytea CHECK (octet_length(failed_claims) <= 128),
    -- Incremented by every write. A write of a row that was read before compares it.
    seq                   bigint  NOT NULL DEFAULT 0,
    UNIQUE (tenant, id),
    UNIQUE (tenant, provider, app, account)
) WITH (fillfactor = 75, toast_tuple_target = 128);
ALTER TABLE @.connections ALTER a_sealed SET STORAGE EXTERNAL, ALTER b_sealed SET STORAGE EXTERNAL;

CREATE INDEX connections_of_a_tenant ON @.connections (tenant, number);
CREATE INDEX connections_of_an_account ON @.connections (provider, app, account, number);
CREATE INDEX connections_of_a_host ON @.connections (provider, app, host, number)
    WHERE host IS NOT NULL;

-- Due work. It may outlive its connection. Autovacuum runs early, because a sweep reads the entries of
-- rows that were leased before.
CREATE TABLE @.work (
    tenant       text    COLLATE "C" NOT NULL,
    connection   bytea   NOT NULL CHECK (octet_length(connection) = 16),
    kind         text    COLLATE "C" NOT NULL,
    due_at       bigint  NOT NULL,
    leased       boolean NOT NULL DEFAULT false,
    -- The last lease and its end.
    lease        bigint  NOT NULL DEFAULT 0,
    leased_until bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, connection, kind)
) WITH (
    fillfactor = 75,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX work_waiting ON @.work (kind, due_at) WHERE NOT leased;
CREATE INDEX work_leased ON @.work (leased_until) WHERE leased;

-- Numbers of leases.
CREATE SEQUENCE @.leases MINVALUE 1 CACHE 1;

-- Rows that are locked to enforce a limit over several rows.
CREATE TABLE @.locks (
    number integer PRIMARY KEY
);
INSERT INTO @.locks (number) SELECT generate_series(0, 255);

-- Token responses whose account is not known yet.
CREATE TABLE @.quarantine (
    number       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state        bytea   NOT NULL UNIQUE CHECK (octet_length(state) = 32),
    tenant       text    COLLATE "C" NOT NULL,
    provider     text    COLLATE "C" NOT NULL,
    app          text    COLLATE "C" NOT NULL,
    available_at bigint  NOT NULL,
    keep_until   bigint  NOT NULL,
    -- SHA-256 of the sealed response as it was put, to recognize a repeated call.
    first_sealed bytea   NOT NULL CHECK (octet_length(first_sealed) = 32),
    key_id       bytea   NOT NULL CHECK (octet_length(key_id) = 8),
    sealed       bytea   NOT NULL
);

CREATE INDEX quarantine_available ON @.quarantine (available_at);
CREATE INDEX quarantine_expired ON @.quarantine (keep_until);

-- Credentials that are kept only to be revoked. They outlive their connection.
CREATE TABLE @.revocations (
    number       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       text    COLLATE "C" NOT NULL,
    connection   bytea   NOT NULL CHECK (octet_length(connection) = 16),
    provider     text    COLLATE "C" NOT NULL,
    app          text    COLLATE "C" NOT NULL,
    account      text    COLLATE "C" NOT NULL,
    grant_number bigint  NOT NULL,
    fence        bigint  NOT NULL,
    key_id       bytea   NOT NULL CHECK (octet_length(key_id) = 8),
    sealed       bytea   NOT NULL,
    UNIQUE (tenant, connection, fence)
);

-- Connect flows. `expires_at` is the latest time of the callback, and the end of the retention time
-- after the callback.
CREATE TABLE @.states (
    number     bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state      bytea   NOT NULL UNIQUE CHECK (octet_length(state) = 32),
    tenant     text    COLLATE "C" NOT NULL,
    provider   text    COLLATE "C" NOT NULL,
    app        text    COLLATE "C" NOT NULL,
    binding    bytea   NOT NULL CHECK (octet_length(binding) = 32),
    expires_at bigint  NOT NULL,
    keep_for   bigint  NOT NULL,
    code       bytea   CHECK (octet_length(code) = 32),
    -- True after a callback with another code.
    conflict   boolean NOT NULL DEFAULT false,
    outcome    text,
    key_id     bytea   NOT NULL CHECK (octet_length(key_id) = 8),
    sealed     bytea   NOT NULL
);

CREATE INDEX states_open ON @.states (tenant, expires_at) WHERE code IS NULL;
CREATE INDEX states_unfinished ON @.states (tenant, expires_at) WHERE outcome IS NULL;
CREATE INDEX states_expired ON @.states (expires_at);

-- Deliveries in both directions. `due_at` is the time of the next lease, or the end of the current
-- lease. `row_id` is the SHA-256 digest of the delivery's key: the key itself may be too long for an
-- index.
CREATE TABLE @.deliveries (
    number      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    row_id      bytea   NOT NULL UNIQUE CHECK (octet_length(row_id) = 32),
    direction   text    COLLATE "C" NOT NULL,
    provider    text    COLLATE "C" NOT NULL,
    app         text    COLLATE "C" NOT NULL,
    endpoint    text    COLLATE "C" NOT NULL,
    id          text    COLLATE "C" NOT NULL,
    tenant      text    COLLATE "C",
    state       text    COLLATE "C" NOT NULL,
    attempts    bigint  NOT NULL DEFAULT 0,
    error       text,
    accepted_at bigint  NOT NULL,
    due_at      bigint  NOT NULL,
    keep_until  bigint  NOT NULL,
    lease       bigint  NOT NULL DEFAULT 0,
    owner       text    COLLATE "C" NOT NULL,
    lane        text    COLLATE "C" NOT NULL,
    -- SHA-256 of the endpoint's key and the owner: the queue whose length is limited.
    queue       bytea   NOT NULL CHECK (octet_length(queue) = 32),
    content     bytea   CHECK (octet_length(content) = 32),
    key_id      bytea   NOT NULL CHECK (octet_length(key_id) = 8),
    sealed      bytea   NOT NULL
) WITH (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX deliveries_waiting ON @.deliveries (direction, due_at) WHERE state = 'waiting';
CREATE INDEX deliveries_of_a_lane ON @.deliveries (direction, owner, lane, due_at, number)
    WHERE state = 'waiting';
CREATE INDEX deliveries_leased ON @.deliveries (direction, due_at)
    WHERE state = 'waiting' AND lease > 0;
CREATE INDEX deliveries_of_a_queue ON @.deliveries (queue) WHERE state = 'waiting';
CREATE INDEX deliveries_alike ON @.deliveries (content, accepted_at) WHERE content IS NOT NULL;
CREATE INDEX deliveries_ended ON @.deliveries (keep_until) WHERE state <> 'waiting';
CREATE INDEX deliveries_of_a_tenant ON @.deliveries (tenant, number);

-- The audit log. Numbers are never used twice.
CREATE TABLE @.audit (
    number       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           bigint  NOT NULL,
    class        text    COLLATE "C" NOT NULL,
    tenant       text    COLLATE "C" NOT NULL,
    provider     text    COLLATE "C" NOT NULL,
    app          text    COLLATE "C" NOT NULL,
    connection   bytea   CHECK (octet_length(connection) = 16),
    actor        text    NOT NULL,
    correlation  text    NOT NULL,
    event        text    NOT NULL,
    notify       boolean NOT NULL,
    handled      boolean NOT NULL DEFAULT false,
    lease        bigint  NOT NULL DEFAULT 0,
    leased_until bigint
);

CREATE INDEX audit_of_a_tenant ON @.audit (tenant, number);
CREATE INDEX audit_of_a_connection ON @.audit (connection, number) WHERE connection IS NOT NULL;
CREATE INDEX audit_unhandled ON @.audit (number) WHERE notify AND NOT handled;

-- Subscriptions of connections: the channel at the provider, the channel that is being created, and
-- the position up to which changes have been read. They are removed with their connection.
CREATE TABLE @.subscriptions (
    number       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       text    COLLATE "C" NOT NULL,
    connection   bytea   NOT NULL CHECK (octet_length(connection) = 16),
    id           bytea   NOT NULL CHECK (octet_length(id) = 16),
    provider     text    COLLATE "C" NOT NULL,
    app          text    COLLATE "C" NOT NULL,
    account      text    COLLATE "C" NOT NULL,
    account_host text,
    grant_number bigint  NOT NULL,
    version      bigint  NOT NULL,
    watch        text    COLLATE "C" NOT NULL,
    channel      text    COLLATE "C" CHECK (length(channel) = 32),
    resource     text    CHECK ((channel IS NULL) = (resource IS NULL)),
    expires_at   bigint,
    -- The lifetime that the provider granted, in milliseconds.
    granted      bigint  CHECK (granted >= 0),
    candidate    text    COLLATE "C" CHECK (length(candidate) = 32),
    begun_at     bigint  CHECK ((candidate IS NULL) = (begun_at IS NULL)),
    cursor       text,
    notified     bigint  NOT NULL DEFAULT 0,
    read         bigint  NOT NULL DEFAULT 0,
    read_at      bigint,
    compared_at  bigint,
    failures     bigint  NOT NULL DEFAULT 0,
    failed_at    bigint,
    error        text,
    silent_reads bigint  NOT NULL DEFAULT 0 CHECK (silent_reads >= 0),
    key_id       bytea   CHECK (octet_length(key_id) = 8),
    sealed       bytea   CHECK ((key_id IS NULL) = (sealed IS NULL)),
    UNIQUE (tenant, connection, id),
    UNIQUE (tenant, connection, watch)
);

CREATE UNIQUE INDEX subscriptions_by_channel ON @.subscriptions (channel)
    WHERE channel IS NOT NULL;
CREATE UNIQUE INDEX subscriptions_by_candidate ON @.subscriptions (candidate)
    WHERE candidate IS NOT NULL;

-- Channels that must be deleted at their provider. They outlive their connection, with a copy of its
-- credential.
CREATE TABLE @.endings (
    number       bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant       text    COLLATE "C" NOT NULL,
    connection   bytea   NOT NULL CHECK (octet_length(connection) = 16),
    provider     text    COLLATE "C" NOT NULL,
    app          text    COLLATE "C" NOT NULL,
    account      text    COLLATE "C" NOT NULL,
    account_host text,
    watch        text    COLLATE "C" NOT NULL,
    channel      text    COLLATE "C" NOT NULL CHECK (length(channel) = 32),
    resource     text,
    attempts     bigint  NOT NULL DEFAULT 0,
    grant_number bigint,
    fence        bigint,
    key_id       bytea   CHECK (octet_length(key_id) = 8),
    sealed       bytea   CHECK ((key_id IS NULL) = (sealed IS NULL)),
    UNIQUE (tenant, connection, channel)
);

-- Endpoints of customers. `due_at` is when the next message for the endpoint is due, and `turn` is the
-- number of its last lease: endpoints with due messages take turns.
CREATE TABLE @.endpoints (
    number        bigint  GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    tenant        text    COLLATE "C" NOT NULL,
    id            bytea   NOT NULL CHECK (octet_length(id) = 16),
    provider      text    COLLATE "C" NOT NULL,
    label         text    NOT NULL,
    alias         text    COLLATE "C",
    -- One event type per line.
    event_types   text    NOT NULL,
    ordered       boolean NOT NULL,
    state         text    COLLATE "C" NOT NULL,
    version       bigint  NOT NULL,
    created_at    bigint  NOT NULL,
    failures      bigint  NOT NULL DEFAULT 0,
    failing_since bigint,
    succeeded_at  bigint,
    failed_at     bigint,
    status        bigint,
    error         text,
    not_before    bigint,
    delivered     bigint  NOT NULL DEFAULT 0,
    failed        bigint  NOT NULL DEFAULT 0,
    due_at        bigint,
    turn          bigint  NOT NULL DEFAULT 0,
    -- Incremented when the endpoint is disabled. Pending deliveries of an earlier epoch count as
    -- skipped. `stale` is true while there may be such rows.
    epoch         bigint  NOT NULL DEFAULT 0,
    stale         boolean NOT NULL DEFAULT false,
    key_id        bytea   NOT NULL CHECK (octet_length(key_id) = 8),
    sealed        bytea   NOT NULL,
    UNIQUE (tenant, id)
);

CREATE UNIQUE INDEX endpoints_by_alias ON @.endpoints (tenant, provider, alias)
    WHERE alias IS NOT NULL;
CREATE INDEX endpoints_of_a_tenant ON @.endpoints (tenant, provider);
CREATE INDEX endpoints_due ON @.endpoints (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX endpoints_stale ON @.endpoints (number) WHERE stale;

-- Removed endpoints with deliveries that are not removed yet.
CREATE TABLE @.removals (
    endpoint bigint PRIMARY KEY
);

-- Messages for endpoints, each stored once for all endpoints that receive it.
CREATE TABLE @.messages (
    number      bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant      text    COLLATE "C" NOT NULL,
    provider    text    COLLATE "C" NOT NULL,
    id          text    COLLATE "C" NOT NULL,
    event_type  text    COLLATE "C" NOT NULL,
    resource    text    COLLATE "C",
    at          bigint  NOT NULL,
    accepted_at bigint  NOT NULL,
    keep_until  bigint  NOT NULL,
    key_id      bytea   NOT NULL CHECK (octet_length(key_id) = 8),
    sealed      bytea   NOT NULL,
    UNIQUE (tenant, provider, id)
);

CREATE INDEX messages_kept ON @.messages (keep_until);

-- One message for one endpoint. `due_at` is the time of the next lease, or the end of the current
-- lease. `lane` is the resource, if the endpoint keeps the order per resource. Numbers follow the order
-- in which messages were enqueued. `epoch` is the endpoint's when the delivery became pending.
CREATE TABLE @.outbound (
    number   bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    endpoint bigint  NOT NULL,
    message  bigint  NOT NULL,
    state    text    COLLATE "C" NOT NULL,
    attempts bigint  NOT NULL DEFAULT 0,
    tries    bigint  NOT NULL DEFAULT 0,
    error    text,
    due_at   bigint  NOT NULL,
    lease    bigint  NOT NULL DEFAULT 0,
    lane     text    COLLATE "C",
    epoch    bigint  NOT NULL DEFAULT 0,
    UNIQUE (endpoint, message)
) WITH (
    fillfactor = 85,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX outbound_waiting ON @.outbound (endpoint, epoch, due_at, number)
    WHERE state = 'waiting';
CREATE INDEX outbound_leased ON @.outbound (due_at, endpoint) WHERE lease > 0;
CREATE INDEX outbound_of_a_message ON @.outbound (message);
CREATE INDEX outbound_of_an_endpoint ON @.outbound (endpoint, state, number);
CREATE INDEX outbound_of_a_lane ON @.outbound (endpoint, epoch, md5(lane), number)
    WHERE lane IS NOT NULL AND state IN ('waiting', 'held');

-- The delivery log.
CREATE TABLE @.attempts (
    number   bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    delivery bigint  NOT NULL,
    attempt  bigint  NOT NULL,
    at       bigint  NOT NULL,
    -- Milliseconds.
    took     bigint  NOT NULL,
    status   bigint,
    error    text,
    excerpt  text
);

CREATE INDEX attempts_of_a_delivery ON @.attempts (delivery, number);
