//! The connections of one process to the server.

use std::borrow::Cow;
use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use connector_core::clock::{Clock, Timestamp};
use connector_core::{Error, ErrorKind, Result};
use deadpool_postgres::{Object, Pool};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Row, RowStream};
use tracing::Instrument;

use crate::columns::Columns;
use crate::error::{failed, pool_failed, stopped, timed_out, unreadable};
use crate::statement::{Bind, Parameter, Statement};

/// A statement that can be sent at once.
enum Ready {
    Prepared(tokio_postgres::Statement, Vec<Parameter>),
    Unprepared(Arc<str>, Vec<Parameter>),
}

/// The store's statements are written for this level, whatever the default of the database is.
pub(crate) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// The rows of a statement, and the number of rows that it changed.
pub(crate) struct Answer {
    pub(crate) rows: Vec<Row>,
    pub(crate) changed: u64,
}

pub(crate) struct Database {
    pub(crate) pool: Pool,
    /// `None` for the clock of the server.
    pub(crate) clock: Option<Arc<dyn Clock>>,
    schema: Schema,
    /// True if statements must not be prepared, because a pooler may switch servers between calls.
    pooler: bool,
    /// Maximum time of a statement.
    pub(crate) timeout: Duration,
    /// The statements in SQL, by the address of their text.
    rendered: RwLock<HashMap<(usize, usize), Arc<str>>>,
}

/// The name of the schema, quoted.
#[derive(Clone)]
pub(crate) struct Schema(Arc<str>);

impl Schema {
    pub(crate) fn new(name: &str) -> Self {
        Self(format!("\"{}\"", name.replace('"', "\"\"")).into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a statement in SQL.
    pub(crate) fn render(&self, sql: &str) -> String {
        let sql = sql
            .replace("@now", &milliseconds_of("clock_timestamp()"))
            .replace("@asof", &milliseconds_of("statement_timestamp()"));
        // The name, which may contain anything, is inserted last. In a literal, its quotes are doubled.
        let doubled = self.0.replace('\'', "''");
        let mut parts = sql.split("@.");
        let mut rendered = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let is_literal = rendered.ends_with('\'');
            rendered.push_str(if is_literal { &doubled } else { &self.0 });
            rendered.push('.');
            rendered.push_str(part);
        }
        rendered
    }
}

fn milliseconds_of(time: &str) -> String {
    format!("coalesce($1, floor(extract(epoch FROM {time}) * 1000)::bigint)")
}

impl Database {
    pub(crate) fn new(
        pool: Pool,
        clock: Option<Arc<dyn Clock>>,
        schema: Schema,
        pooler: bool,
        timeout: Duration,
    ) -> Self {
        Self {
            pool,
            clock,
            schema,
            pooler,
            timeout,
            rendered: RwLock::default(),
        }
    }

    #[expect(clippy::ptr_arg, reason = "only a static text has a lasting address")]
    fn render(&self, sql: &Cow<'static, str>) -> Arc<str> {
        let Cow::Borrowed(text) = sql else {
            return self.schema.render(sql).into();
        };
        let at = (text.as_ptr().addr(), text.len());
        let known = self
            .rendered
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&at)
            .cloned();
        known.unwrap_or_else(|| {
            let sql: Arc<str> = self.schema.render(text).into();
            self.rendered
                .write()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(at, Arc::clone(&sql));
            sql
        })
    }

    /// Returns the parameters with the time of an injected clock.
    fn timed(&self, mut parameters: Vec<Parameter>) -> Vec<Parameter> {
        if let Some(clock) = &self.clock {
            parameters[0] = Some(clock.now().as_unix_millis()).parameter();
        }
        parameters
    }

    pub(crate) async fn connection(&self, operation: &'static str) -> Result<Object> {
        self.pool
            .get()
            .await
            .map_err(|failure| pool_failed(operation, &failure))
    }

    /// Runs `work` in its own task until it ends, also if the caller stops waiting. A call that was
    /// begun therefore always returns its connection to the pool, with no transaction open.
    pub(crate) async fn detached<T: Send + 'static>(
        operation: &'static str,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        match tokio::spawn(work.in_current_span()).await {
            Ok(result) => result,
            Err(ended) => match ended.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(stopped(operation)),
            },
        }
    }

    /// Runs one statement, which is a transaction of its own.
    pub(crate) async fn run(
        self: &Arc<Self>,
        operation: &'static str,
        statement: Statement,
    ) -> Result<Answer> {
        let this = Arc::clone(self);
        Self::detached(operation, async move {
            let connection = this.connection(operation).await?;
            let answer = this.on(&connection, operation, statement).await;
            let is_unusable = |error: &Error| error.kind() == ErrorKind::StoreUnavailable;
            if answer.as_ref().err().is_some_and(is_unusable) {
                // The statement may still run, or the server may have become a standby.
                drop(Object::take(connection));
            }
            answer
        })
        .await
    }

    /// Runs one statement and returns its rows.
    pub(crate) async fn rows(
        self: &Arc<Self>,
        operation: &'static str,
        statement: Statement,
    ) -> Result<Vec<Row>> {
        Ok(self.run(operation, statement).await?.rows)
    }

    /// Runs one statement and returns the number of rows that it changed.
    pub(crate) async fn changed(
        self: &Arc<Self>,
        operation: &'static str,
        statement: Statement,
    ) -> Result<u64> {
        Ok(self.run(operation, statement).await?.changed)
    }

    /// Runs one statement on a connection of the pool.
    pub(crate) async fn on(
        &self,
        connection: &Object,
        operation: &'static str,
        statement: Statement,
    ) -> Result<Answer> {
        let ready = self.prepare(connection, operation, statement).await?;
        self.execute(connection, operation, ready).await
    }

    /// Prepares a statement, unless a pooler is in between.
    async fn prepare(
        &self,
        connection: &Object,
        operation: &'static str,
        statement: Statement,
    ) -> Result<Ready> {
        let sql = self.render(&statement.sql);
        let parameters = self.timed(statement.parameters);
        if self.pooler {
            return Ok(Ready::Unprepared(sql, parameters));
        }
        let types: Vec<Type> = parameters.iter().map(|(_, kind)| kind.clone()).collect();
        let prepared = connection.prepare_typed_cached(&sql, &types);
        let prepared = self.timely(operation, prepared).await?;
        Ok(Ready::Prepared(prepared, parameters))
    }

    /// Runs a statement. The first poll sends the whole statement, so that the order of the first polls
    /// is the order of the statements at the server.
    async fn execute(
        &self,
        connection: &Object,
        operation: &'static str,
        ready: Ready,
    ) -> Result<Answer> {
        let answer = async {
            let stream = match ready {
                Ready::Unprepared(sql, parameters) => {
                    connection.query_typed_raw(&sql, parameters).await?
                }
                Ready::Prepared(prepared, parameters) => {
                    let values = parameters
                        .iter()
                        .map(|(value, _)| &**value as &(dyn ToSql + Sync));
                    connection.query_raw(&prepared, values).await?
                }
            };
            collect(stream).await
        };
        self.timely(operation, answer).await
    }

    /// Runs one statement in a transaction of the caller.
    pub(crate) async fn in_transaction(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        operation: &'static str,
        statement: Statement,
    ) -> Result<Answer> {
        let sql = self.render(&statement.sql);
        let parameters = self.timed(statement.parameters);
        let answer = async {
            let typed: Vec<_> = parameters
                .iter()
                .map(|(value, kind)| (&**value as &(dyn ToSql + Sync), kind.clone()))
                .collect();
            collect(transaction.query_typed_raw(&sql, typed).await?).await
        };
        self.timely(operation, answer).await
    }

    async fn timely<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = std::result::Result<T, tokio_postgres::Error>>,
    ) -> Result<T> {
        match tokio::time::timeout(self.timeout, work).await {
            Ok(result) => result.map_err(|failure| failed(operation, &failure)),
            Err(_) => Err(timed_out(operation)),
        }
    }

    async fn simple(&self, connection: &Object, operation: &'static str, sql: &str) -> Result<()> {
        self.timely(operation, connection.batch_execute(sql)).await
    }

    /// Begins a transaction, runs `lock`, and reads the time after the lock was granted.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        operation: &'static str,
        lock: Statement,
    ) -> Result<(Write, Vec<Row>)> {
        let connection = self.connection(operation).await?;
        let mut write = Write {
            database: Arc::clone(self),
            connection: Some(connection),
            operation,
            now: Timestamp::UNIX_EPOCH,
        };
        let (begun, locked, time) = {
            let connection = write.connection()?;
            let lock = self.prepare(connection, operation, lock).await?;
            let time = Statement::new("SELECT @now");
            let time = self.prepare(connection, operation, time).await?;
            // The statements are sent in this order, without waiting in between.
            tokio::join!(
                biased;
                self.simple(connection, operation, BEGIN),
                self.execute(connection, operation, lock),
                self.execute(connection, operation, time),
            )
        };
        begun?;
        let locked = locked?.rows;
        let time = time?.rows;
        let row = time.first().ok_or_else(|| unreadable(operation))?;
        write.now = Columns::new(row, operation).time()?;
        Ok((write, locked))
    }

    /// Runs `lock` and then `statement` in one transaction, and returns the rows of `statement`.
    /// `statement` sees everything that was committed before the lock was granted.
    pub(crate) async fn locked(
        self: &Arc<Self>,
        operation: &'static str,
        lock: Statement,
        statement: Statement,
    ) -> Result<Vec<Row>> {
        let this = Arc::clone(self);
        Self::detached(operation, async move {
            let mut write = Write {
                connection: Some(this.connection(operation).await?),
                database: Arc::clone(&this),
                operation,
                now: Timestamp::UNIX_EPOCH,
            };
            let (begun, locked, answer, committed) = {
                let connection = write.connection()?;
                let lock = this.prepare(connection, operation, lock).await?;
                let statement = this.prepare(connection, operation, statement).await?;
                // The statements are sent in this order, without waiting in between.
                tokio::join!(
                    biased;
                    this.simple(connection, operation, BEGIN),
                    this.execute(connection, operation, lock),
                    this.execute(connection, operation, statement),
                    // Rolls back if one of the statements failed.
                    this.simple(connection, operation, "COMMIT"),
                )
            };
            begun?;
            locked?;
            let answer = answer?;
            committed?;
            write.finished();
            Ok(answer.rows)
        })
        .await
    }
}

async fn collect(stream: RowStream) -> std::result::Result<Answer, tokio_postgres::Error> {
    use std::pin::pin;

    let mut stream = pin!(stream);
    let mut rows = Vec::new();
    while let Some(row) = next(stream.as_mut()).await {
        rows.push(row?);
    }
    Ok(Answer {
        rows,
        changed: stream.rows_affected().unwrap_or(0),
    })
}

async fn next(
    mut stream: std::pin::Pin<&mut RowStream>,
) -> Option<std::result::Result<Row, tokio_postgres::Error>> {
    std::future::poll_fn(|context| futures_core::Stream::poll_next(stream.as_mut(), context)).await
}

/// A transaction that holds locks. Each method that uses one runs in its own task, so that the
/// transaction ends even if the caller stops waiting.
pub(crate) struct Write {
    database: Arc<Database>,
    /// `None` after the end of the transaction.
    connection: Option<Object>,
    operation: &'static str,
    pub(crate) now: Timestamp,
}

impl Write {
    pub(crate) const fn operation(&self) -> &'static str {
        self.operation
    }

    fn connection(&mut self) -> Result<&Object> {
        let operation = self.operation;
        self.connection.as_ref().ok_or_else(|| stopped(operation))
    }

    /// Runs a statement and returns its rows.
    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>> {
        Ok(self.answer(statement).await?.rows)
    }

    /// Runs a statement and returns the number of rows that it changed.
    pub(crate) async fn run(&mut self, statement: Statement) -> Result<u64> {
        Ok(self.answer(statement).await?.changed)
    }

    async fn answer(&mut self, statement: Statement) -> Result<Answer> {
        let (database, operation) = (Arc::clone(&self.database), self.operation);
        database.on(self.connection()?, operation, statement).await
    }

    /// Commits the transaction durably.
    pub(crate) async fn commit(self) -> Result<()> {
        self.end("COMMIT").await
    }

    /// Rolls the transaction back. Only reads are discarded, so a failure has no consequence.
    pub(crate) async fn cancel(self) {
        let _ = self.end("ROLLBACK").await;
    }

    async fn end(mut self, sql: &str) -> Result<()> {
        let (database, operation) = (Arc::clone(&self.database), self.operation);
        let ended: Result<(), Error> = database.simple(self.connection()?, operation, sql).await;
        if ended.is_ok() {
            self.finished();
        }
        ended
    }

    /// Returns the connection to the pool.
    fn finished(&mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Write {
    fn drop(&mut self) {
        // The transaction failed. Closing the connection rolls it back.
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}

/// A transaction of this store or of the caller.
pub(crate) struct Session<'a> {
    target: Target<'a>,
    pub(crate) operation: &'static str,
    pub(crate) now: Timestamp,
}

enum Target<'a> {
    Store(&'a mut Write),
    Caller(&'a Database, &'a tokio_postgres::Transaction<'a>),
}

impl Write {
    pub(crate) const fn session(&mut self) -> Session<'_> {
        Session {
            operation: self.operation,
            now: self.now,
            target: Target::Store(self),
        }
    }
}

impl<'a> Session<'a> {
    /// Wraps a transaction of the caller.
    pub(crate) async fn of_caller(
        database: &'a Database,
        transaction: &'a tokio_postgres::Transaction<'a>,
        operation: &'static str,
    ) -> Result<Self> {
        let mut session = Self {
            target: Target::Caller(database, transaction),
            operation,
            now: Timestamp::UNIX_EPOCH,
        };
        let rows = session.rows(Statement::new("SELECT @now")).await?;
        let row = rows.first().ok_or_else(|| unreadable(operation))?;
        session.now = Columns::new(row, operation).time()?;
        Ok(session)
    }

    async fn answer(&mut self, statement: Statement) -> Result<Answer> {
        match &mut self.target {
            Target::Store(write) => write.answer(statement).await,
            Target::Caller(database, transaction) => {
                database
                    .in_transaction(transaction, self.operation, statement)
                    .await
            }
        }
    }

    /// Runs a statement and returns its rows.
    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<Row>> {
        Ok(self.answer(statement).await?.rows)
    }

    /// Runs a statement and returns the number of rows that it changed.
    pub(crate) async fn run(&mut self, statement: Statement) -> Result<u64> {
        Ok(self.answer(statement).await?.changed)
    }
}

#[cfg(test)]
#[allow(clippy::panic, reason = "the test is about a panic")]
mod tests {
    use super::*;

    #[test]
    fn names_are_inserted_unchanged() {
        let schema = Schema::new("a'b@now@.c");
        let sql = schema.render("SELECT nextval('@.leases'), @now FROM @.work");
        assert!(sql.starts_with("SELECT nextval('\"a''b@now@.c\".leases'), coalesce("));
        assert!(sql.ends_with(" FROM \"a'b@now@.c\".work"));
    }

    #[tokio::test]
    #[should_panic(expected = "a defect")]
    async fn a_panic_reaches_the_caller() {
        let work = async { panic!("a defect") };
        let _: Result<()> = Database::detached("test", work).await;
    }
}
