//! Options for opening a store.

use std::num::NonZeroUsize;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use connector_core::clock::Clock;
use connector_core::{Error, ErrorKind, Result};
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, Timeouts};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use rustls_platform_verifier::BuilderVerifierExt;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::PostgresStore;
use crate::database::{Database, Schema};
use crate::error::pool_failed;
use crate::schema;

const OPEN: &str = "store.open";
const MIGRATE: &str = "store.migrate";

/// Options for opening a store.
///
/// ```no_run
/// # async fn example(url: String) -> connector_core::Result<()> {
/// use connector_store_postgres::PostgresOptions;
///
/// let options = PostgresOptions::new(url).with_connections(32);
/// options.migrate().await?;
/// let store = options.open().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
#[non_exhaustive]
pub struct PostgresOptions {
    url: SecretString,
    schema: String,
    connections: usize,
    pooler: bool,
    timeout: Duration,
    pool_timeout: Duration,
    connect_timeout: Duration,
    root_certificates: Option<Vec<u8>>,
    clock: Option<Arc<dyn Clock>>,
    lossy: bool,
}

impl PostgresOptions {
    /// Creates the default options for the server at `url`, for example
    /// `postgresql://user:password@host/database`. See [PostgreSQL docs: Connection Strings].
    ///
    /// Connections over a network are encrypted, and the server's certificate is checked, unless the
    /// URL contains `sslmode=disable`. `sslmode` may also be `prefer` or `require`; `require` checks the
    /// certificate too, and other values are refused. Connections by a Unix socket or to a loopback address are
    /// encrypted if the server supports it.
    ///
    /// [PostgreSQL docs: Connection Strings]: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING
    pub fn new(url: impl Into<SecretString>) -> Self {
        Self {
            url: url.into(),
            schema: "connectors".to_owned(),
            connections: 16,
            pooler: false,
            timeout: Duration::from_secs(30),
            pool_timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(10),
            root_certificates: None,
            clock: None,
            lossy: false,
        }
    }

    /// Sets the schema that contains the store's tables. The default is `connectors`. Stores in
    /// different schemas of one database are independent of each other.
    pub fn with_schema(mut self, schema: impl Into<String>) -> Self {
        self.schema = schema.into();
        self
    }

    /// Sets the maximum number of connections of this process to the server. The default is 16. Calls
    /// wait for a free connection.
    pub fn with_connections(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// Sets whether a pooler in transaction mode, such as PgBouncer, is between this process and the
    /// server. The store then uses no prepared statements, because the pooler may run each
    /// transaction on another connection to the server.
    pub fn with_pooler(mut self, pooler: bool) -> Self {
        self.pooler = pooler;
        self
    }

    /// Sets the maximum time of a statement. The default is 30 seconds. A call that takes longer
    /// fails with [`ErrorKind::StoreUnavailable`], and its outcome is unknown.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the maximum time that a call waits for a free connection. The default is 10 seconds.
    pub fn with_pool_timeout(mut self, timeout: Duration) -> Self {
        self.pool_timeout = timeout;
        self
    }

    /// Sets the maximum time to connect to the server. The default is 10 seconds.
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the certificate authorities, in PEM format, that may issue the server's certificate. The
    /// default is the operating system's list.
    pub fn with_root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// Replaces the server's clock, for tests. All processes that share the store must use the same
    /// time.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Sets whether the store opens on a server that may lose acknowledged writes after a crash
    /// (`fsync`, `full_page_writes` or `synchronous_commit` is off). The default is false: a lost
    /// commit restores a refresh token that was already used, which ends connections. Use this for
    /// tests only.
    pub fn allow_data_loss(mut self, allow: bool) -> Self {
        self.lossy = allow;
        self
    }

    /// Applies the missing migrations in one transaction, and returns their number. The user of the
    /// connection string must be allowed to create the schema. If several processes call this at the
    /// same time, one of them applies the migrations.
    ///
    /// # Errors
    /// Same as [`PostgresOptions::open`].
    pub async fn migrate(&self) -> Result<u32> {
        let schema = self.schema(MIGRATE)?;
        let pool = self.pool(MIGRATE, 1)?;
        let migrated = Database::detached(MIGRATE, async move {
            let connection = pool
                .get()
                .await
                .map_err(|failure| pool_failed(MIGRATE, &failure))?;
            let migrated = schema::migrate(&connection, &schema).await;
            pool.close();
            migrated
        });
        migrated.await
    }

    /// Opens the store. Connects to the server and checks the schema and the server's settings, but
    /// changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the connection string is wrong, the server refuses the user,
    /// the user lacks rights, or the server may lose acknowledged writes.
    /// [`ErrorKind::StoreUnavailable`] if the server cannot be reached or accepts no writes.
    /// [`ErrorKind::StoreIncompatible`] if the schema is missing, older or newer.
    pub async fn open(&self) -> Result<PostgresStore> {
        let schema = self.schema(OPEN)?;
        let pool = self.pool(OPEN, self.connections)?;
        let database = Arc::new(Database::new(
            pool,
            self.clock.clone(),
            schema.clone(),
            self.pooler,
            self.timeout,
        ));
        let (opened, lossy) = (Arc::clone(&database), self.lossy);
        Database::detached(OPEN, async move {
            let connection = opened.connection(OPEN).await?;
            schema::verify(&opened, &connection, &schema, lossy).await
        })
        .await?;
        Ok(PostgresStore::new(database))
    }

    fn schema(&self, operation: &'static str) -> Result<Schema> {
        // PostgreSQL truncates longer names.
        if self.schema.is_empty() || self.schema.len() > 63 || self.schema.contains('\0') {
            return Err(Error::new(
                ErrorKind::Configuration,
                operation,
                "the schema's name must have 1 to 63 bytes",
            ));
        }
        Ok(Schema::new(&self.schema))
    }

    fn pool(&self, operation: &'static str, connections: usize) -> Result<Pool> {
        let invalid =
            |message: &'static str| Error::new(ErrorKind::Configuration, operation, message);
        let connections = NonZeroUsize::new(connections)
            .ok_or_else(|| invalid("the store needs at least one connection"))?;
        // The driver's error may contain parts of the connection string.
        let mut config =
            tokio_postgres::Config::from_str(self.url.expose_secret()).map_err(|failure| {
                // The cause of a wrong value names only the option.
                let cause = std::error::Error::source(&failure);
                if cause.is_some_and(|cause| cause.to_string().contains("`sslmode`")) {
                    return invalid(
                        "`sslmode` in the connection string must be `disable`, `prefer` or \
                         `require`; `require` checks the server's certificate and its name, like \
                         `verify-full` of other clients",
                    );
                }
                invalid(
                    "the connection string cannot be parsed; write it as \
                     postgresql://user:password@host:port/database, with special characters \
                     percent-encoded",
                )
            })?;
        if config.get_hosts().is_empty() {
            return Err(invalid("the connection string names no host"));
        }
        if config.get_user().is_none() {
            return Err(invalid("the connection string names no user"));
        }
        if config.get_ssl_mode() == SslMode::Prefer && !is_local(&config) {
            config.ssl_mode(SslMode::Require);
        }
        config
            .connect_timeout(self.connect_timeout)
            // A connection to a server that disappeared is closed after about a minute.
            .keepalives_idle(Duration::from_secs(30))
            .keepalives_interval(Duration::from_secs(10))
            .keepalives_retries(3);
        if !self.pooler && operation == OPEN && config.get_options().is_none() {
            // A pooler rejects options. The server ends statements and transactions of a process that
            // no longer waits for them.
            let limit = self.timeout.as_millis().min(i32::MAX as u128);
            config.options(format!(
                "-c statement_timeout={limit} -c idle_in_transaction_session_timeout={limit} \
                 -c default_transaction_isolation=read\\ committed"
            ));
        }
        if config.get_application_name().is_none() {
            config.application_name("connectors");
        }
        let addresses = config.get_hosts().len().max(config.get_hostaddrs().len());
        let tls = MakeRustlsConnect::new(self.tls(operation)?);
        let manager = Manager::from_config(
            config,
            tls,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        Pool::builder(manager)
            .max_size(connections.get())
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(self.pool_timeout),
                // The driver's own timeout applies to each address. All of them are tried.
                create: Some(create_timeout(self.connect_timeout, addresses)),
                recycle: Some(self.connect_timeout),
            })
            .build()
            .map_err(|_| invalid("the pool of connections cannot be created"))
    }

    fn tls(&self, operation: &'static str) -> Result<ClientConfig> {
        let invalid =
            |message: &'static str| Error::new(ErrorKind::Configuration, operation, message);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| invalid("the TLS library supports no safe protocol version"))?;
        let config = match &self.root_certificates {
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    certificate
                        .ok()
                        .and_then(|certificate| roots.add(certificate).ok())
                        .ok_or_else(|| invalid("a root certificate is not valid PEM"))?;
                }
                if roots.is_empty() {
                    return Err(invalid("the root certificates contain no certificate"));
                }
                builder.with_root_certificates(roots)
            }
            None => builder.with_platform_verifier().map_err(|_| {
                invalid(
                    "the operating system's root certificates cannot be loaded; pass your own \
                     (`with_root_certificates`)",
                )
            })?,
        };
        Ok(config.with_no_client_auth())
    }
}

/// Returns the maximum time to try all hosts, with time for the handshake.
fn create_timeout(connect: Duration, hosts: usize) -> Duration {
    let hosts = u32::try_from(hosts).unwrap_or(u32::MAX);
    connect.saturating_mul(hosts.saturating_add(1))
}

/// Returns true if the connection to the server is local: a Unix socket or a loopback address.
fn is_local(config: &tokio_postgres::Config) -> bool {
    // The driver connects to an address instead of the host, if there is one.
    let addresses = config.get_hostaddrs();
    addresses.iter().all(std::net::IpAddr::is_loopback)
        && config.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => {
                name == "localhost"
                    || name
                        .parse::<std::net::IpAddr>()
                        .is_ok_and(|address| address.is_loopback())
            }
            #[cfg(unix)]
            Host::Unix(_) => true,
        })
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_local() {
        let table = [
            ("host=localhost", true),
            ("host=127.0.0.1", true),
            ("host=::1,localhost", true),
            ("host=/run/postgresql", true),
            ("host=localhost hostaddr=127.0.0.1", true),
            ("host=localhost hostaddr=10.0.0.5", false),
            (
                "host=localhost,localhost hostaddr=127.0.0.1,10.0.0.5",
                false,
            ),
            ("host=db.example", false),
            ("host=db.example hostaddr=127.0.0.1", false),
            ("host=10.0.0.5", false),
        ];
        for (url, expected) in table {
            let config = tokio_postgres::Config::from_str(url).unwrap();
            assert_eq!(is_local(&config), expected, "{url}");
        }
        println!("hosts: {}", table.len());
    }

    #[test]
    fn every_host_has_time_to_fail() {
        let connect = Duration::from_secs(10);
        assert_eq!(create_timeout(connect, 1), connect * 2);
        assert_eq!(create_timeout(connect, 3), connect * 4);
        assert_eq!(create_timeout(Duration::MAX, 3), Duration::MAX);
    }
}
