//! The side effects of a change, written in the statement of the change.

use connector_core::store::{SideEffects, WorkKind};
use connector_core::{AuditEntry, ConnectionKey, Error, ErrorKind, Result};

use crate::statement::{Statement, millis};

/// Number of the first parameter after those of [`Statement::with_effects`].
pub(crate) const NEXT: usize = 16;

/// The parts of a `WITH` statement that write the side effects if the part `u` has a row. The
/// parameters are `$2` to `$15`. PostgreSQL runs these parts whether or not the statement reads them.
macro_rules! effects {
    () => {
        ", work_removed AS (
            DELETE FROM @.work w USING u
            WHERE w.tenant = $2 AND w.connection = $3 AND w.kind = ANY ($6)
        ), work_added AS (
            INSERT INTO @.work (tenant, connection, kind, due_at)
            SELECT $2, $3, t.kind, @now + t.delay FROM u, unnest($4, $5) AS t (kind, delay)
            ON CONFLICT (tenant, connection, kind)
            DO UPDATE SET due_at = excluded.due_at, leased = false
        ), noted AS (
            INSERT INTO @.audit (at, class, tenant, provider, app, connection, actor, correlation,
                event, notify)
            SELECT @now, t.class, t.tenant, t.provider, t.app, t.connection, t.actor, t.correlation,
                t.event, t.notify
            FROM u, unnest($7, $8, $9, $10, $11, $12, $13, $14, $15) WITH ORDINALITY
                AS t (class, tenant, provider, app, connection, actor, correlation, event, notify,
                    place)
            ORDER BY t.place
        )"
    };
}
pub(crate) use effects;

/// Writes side effects and nothing else.
pub(crate) const APPLY: &str = concat!("WITH u AS (SELECT 1)", effects!(), " SELECT 1 FROM u");

fn json(written: serde_json::Result<String>) -> Result<String> {
    written.map_err(|cause| {
        Error::new(
            ErrorKind::InvalidInput,
            "store.audit",
            "an audit entry cannot be represented as JSON; use text keys in its maps",
        )
        .with_source(cause)
    })
}

impl Statement {
    /// Creates a statement whose first parameters are the side effects of a change of the connection.
    /// The first parameter of the statement itself is [`NEXT`].
    pub(crate) fn with_effects(
        sql: &'static str,
        key: &ConnectionKey,
        effects: &SideEffects,
    ) -> Result<Self> {
        let (mut kinds, mut delays, mut removed) = (Vec::new(), Vec::new(), Vec::new());
        for (place, (kind, delay)) in effects.schedule.iter().enumerate() {
            // The last entry of a kind applies.
            if effects.schedule[place + 1..].iter().any(|it| it.0 == *kind) {
                continue;
            }
            match delay {
                Some(delay) => {
                    kinds.push(WorkKind::as_str(*kind).to_owned());
                    delays.push(millis(*delay));
                }
                None => removed.push(WorkKind::as_str(*kind).to_owned()),
            }
        }
        Self::of(sql, key)
            .bind(kinds)
            .bind(delays)
            .bind(removed)
            .bind_entries(&effects.audit)
    }

    /// Adds audit entries as nine parameters.
    pub(crate) fn bind_entries(self, entries: &[AuditEntry]) -> Result<Self> {
        let text = |read: fn(&AuditEntry) -> &str| -> Vec<String> {
            entries.iter().map(|it| read(it).to_owned()).collect()
        };
        let mut actors = Vec::with_capacity(entries.len());
        let mut events = Vec::with_capacity(entries.len());
        for entry in entries {
            actors.push(json(serde_json::to_string(&entry.context.actor))?);
            events.push(json(serde_json::to_string(&entry.event))?);
        }
        let connections: Vec<Option<Vec<u8>>> = entries
            .iter()
            .map(|it| it.connection.as_ref().map(|id| id.as_bytes().to_vec()))
            .collect();
        Ok(self
            .bind(text(|it| it.class.as_str()))
            .bind(text(|it| it.tenant.as_str()))
            .bind(text(|it| it.provider.as_str()))
            .bind(text(|it| it.app.as_str()))
            .bind(connections)
            .bind(actors)
            .bind(text(|it| it.context.correlation.as_str()))
            .bind(events)
            .bind(entries.iter().map(|it| it.notify).collect::<Vec<_>>()))
    }
}
