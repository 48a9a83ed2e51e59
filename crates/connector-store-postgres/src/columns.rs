//! Conversion between values and columns.

use connector_core::cipher::{KeyId, Sealed};
use connector_core::clock::Timestamp;
use connector_core::provider::subscription::{ChannelId, Watch};
use connector_core::store::{Cursor, Page};
use connector_core::{
    AccountKey, AppKey, ConnectionId, ConnectionKey, InvalidName, ProviderId, Result, TenantId,
};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::{foreign_cursor, number_too_large, unreadable};

/// Reads the columns of a row in the order of the statement.
pub(crate) struct Columns<'r> {
    row: &'r Row,
    next: usize,
    operation: &'static str,
}

impl<'r> Columns<'r> {
    pub(crate) const fn new(row: &'r Row, operation: &'static str) -> Self {
        Self {
            row,
            next: 0,
            operation,
        }
    }

    pub(crate) const fn operation(&self) -> &'static str {
        self.operation
    }

    pub(crate) fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    /// Returns the next column, decoded as `T`.
    pub(crate) fn take<T: FromSql<'r>>(&mut self) -> Result<T> {
        let value = self.row.try_get(self.next);
        self.next += 1;
        // The driver's error may contain the value.
        value.map_err(|_| unreadable(self.operation))
    }

    pub(crate) fn number(&mut self) -> Result<u64> {
        let value: i64 = self.take()?;
        u64::try_from(value).map_err(|_| unreadable(self.operation))
    }

    pub(crate) fn maybe_number(&mut self) -> Result<Option<u64>> {
        let value: Option<i64> = self.take()?;
        let number = value.map(u64::try_from).transpose();
        number.map_err(|_| unreadable(self.operation))
    }

    pub(crate) fn small_number(&mut self) -> Result<u32> {
        let value: i64 = self.take()?;
        u32::try_from(value).map_err(|_| unreadable(self.operation))
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp> {
        Ok(Timestamp::from_unix_millis(self.take()?))
    }

    pub(crate) fn maybe_time(&mut self) -> Result<Option<Timestamp>> {
        Ok(self.take::<Option<i64>>()?.map(Timestamp::from_unix_millis))
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let value: &[u8] = self.take()?;
        value.try_into().map_err(|_| unreadable(self.operation))
    }

    /// Reads a name, which was validated when it was written.
    fn name<T>(&mut self, read: impl FnOnce(&'r str) -> Result<T, InvalidName>) -> Result<T> {
        let value: &str = self.take()?;
        read(value).map_err(|_| unreadable(self.operation))
    }

    pub(crate) fn tenant(&mut self) -> Result<TenantId> {
        self.name(TenantId::new)
    }

    pub(crate) fn maybe_tenant(&mut self) -> Result<Option<TenantId>> {
        let tenant: Option<&str> = self.take()?;
        let tenant = tenant.map(TenantId::new).transpose();
        tenant.map_err(|_| unreadable(self.operation))
    }

    pub(crate) fn provider(&mut self) -> Result<ProviderId> {
        self.name(ProviderId::new)
    }

    pub(crate) fn app(&mut self) -> Result<AppKey> {
        self.name(AppKey::new)
    }

    pub(crate) fn account(&mut self) -> Result<AccountKey> {
        self.name(AccountKey::new)
    }

    /// Reads a tenant and a connection id.
    pub(crate) fn key(&mut self) -> Result<ConnectionKey> {
        let tenant = self.tenant()?;
        Ok(ConnectionKey::new(
            tenant,
            ConnectionId::from_bytes(self.bytes()?),
        ))
    }

    pub(crate) fn watch(&mut self) -> Result<Watch> {
        self.name(Watch::new)
    }

    pub(crate) fn channel(&mut self) -> Result<ChannelId> {
        self.name(ChannelId::new)
    }

    pub(crate) fn maybe_channel(&mut self) -> Result<Option<ChannelId>> {
        let value: Option<&str> = self.take()?;
        let channel = value.map(ChannelId::new).transpose();
        channel.map_err(|_| unreadable(self.operation))
    }

    /// Reads an optional key id and the bytes sealed under that key.
    pub(crate) fn maybe_sealed(&mut self) -> Result<Option<Sealed>> {
        let key_id: Option<&[u8]> = self.take()?;
        let sealed: Option<&[u8]> = self.take()?;
        let Some((key_id, sealed)) = key_id.zip(sealed) else {
            return Ok(None);
        };
        let key_id = key_id.try_into().map_err(|_| unreadable(self.operation))?;
        Ok(Some(Sealed::new(
            KeyId::from_bytes(key_id),
            sealed.to_vec(),
        )))
    }

    /// Reads an enum value by its stable name.
    pub(crate) fn parsed<T>(&mut self, read: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let value: &str = self.take()?;
        read(value).ok_or_else(|| unreadable(self.operation))
    }

    /// Reads a key id and the bytes sealed under that key.
    pub(crate) fn sealed(&mut self) -> Result<Sealed> {
        self.maybe_sealed()?
            .ok_or_else(|| unreadable(self.operation))
    }
}

/// Converts a number to PostgreSQL's `bigint`.
pub(crate) fn integer(operation: &'static str, number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| number_too_large(operation))
}

/// Converts an optional number to PostgreSQL's `bigint`.
pub(crate) fn maybe_integer(operation: &'static str, number: Option<u64>) -> Result<Option<i64>> {
    number.map(|number| integer(operation, number)).transpose()
}

/// Parses the row number in a cursor. If there is no cursor, returns zero, which is before all
/// rows.
pub(crate) fn number_after(operation: &'static str, after: Option<&Cursor>) -> Result<i64> {
    after.map_or(Ok(0), |cursor| {
        cursor
            .as_str()
            .parse()
            .ok()
            .filter(|number| *number >= 0)
            .ok_or_else(|| foreign_cursor(operation))
    })
}

/// Number of rows to read for a page of `n` rows. One additional row shows whether there are more
/// pages.
pub(crate) fn one_more(n: u16) -> i64 {
    i64::from(n.max(1)) + 1
}

/// Returns the first `n` rows, at least one, and the cursor of the next page. The first column of
/// each row is its number.
pub(crate) fn page<T>(
    operation: &'static str,
    rows: &[Row],
    n: u16,
    mut read: impl FnMut(&mut Columns<'_>) -> Result<T>,
) -> Result<Page<T>> {
    let n = usize::from(n.max(1));
    let mut items = Vec::with_capacity(rows.len().min(n));
    let mut last = 0;
    for row in rows.iter().take(n) {
        last = Columns::new(row, operation).take()?;
        items.push(read(&mut Columns::new(row, operation))?);
    }
    let next = (rows.len() > n)
        .then(|| Cursor::new(i64::to_string(&last)))
        .transpose()?;
    Ok(Page { items, next })
}

/// Builds a statement from the applicable conditions. All parameters are bound even if some
/// conditions are omitted.
pub(crate) fn select(start: &str, conditions: &[(&'static str, bool)], end: &str) -> String {
    let mut sql = start.to_owned();
    for (condition, applies) in conditions {
        if *applies {
            sql.push_str(condition);
        }
    }
    sql.push_str(end);
    sql
}

/// SHA-256 digest of several parts, each with its length.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(part);
    }
    let mut bytes = [0; 32];
    bytes.copy_from_slice(context.finish().as_ref());
    bytes
}

/// SHA-256 digest of the originally stored sealed bytes. The bytes may have been resealed in the
/// meantime.
pub(crate) fn digest_of(sealed: &Sealed) -> [u8; 32] {
    digest(&[sealed.bytes()])
}
