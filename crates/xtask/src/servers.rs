//! Private servers for the tests: a PostgreSQL server with an empty data directory, and a PgBouncer in
//! transaction mode in front of it. They listen on free ports of the loopback interface, and end with
//! the test run.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::counterparts::is_ci;
use crate::process::{command, finish, stdout_of};

/// The variable with the URL of the PostgreSQL server.
const POSTGRES: &str = "CONNECTORS_POSTGRES";
/// The variable with the URL of the same server behind PgBouncer.
const PGBOUNCER: &str = "CONNECTORS_PGBOUNCER";

/// Where Debian installs the server's programs.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Access rules: one user needs a password, for the tests of wrong passwords.
const ACCESS: &str = "host all connectors_password 127.0.0.1/32 scram-sha-256\n\
                      host all all 127.0.0.1/32 trust\n";

/// The running servers.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    variables: Vec<(&'static str, String)>,
    directory: Option<PathBuf>,
    /// The commands that stop the servers.
    stop: Vec<Command>,
}

impl Servers {
    /// Starts the servers. A server whose variable is set is used as it is. A server that cannot be
    /// started is an error if `CI` is `true`; otherwise its tests are skipped and report this.
    pub(crate) fn start() -> Result<Self> {
        let mut servers = Self::default();
        if variable(POSTGRES).is_some() {
            return Ok(servers);
        }
        match servers.start_all() {
            Err(error) if !is_ci() => println!("a database server is not available: {error}"),
            started => started?,
        }
        Ok(servers)
    }

    /// Returns the environment variables for the tests.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
    }

    fn start_all(&mut self) -> Result<()> {
        if server_programs().is_none() {
            install("postgresql")?;
        }
        let programs = server_programs().ok_or("the package postgresql contains no server")?;
        let directory =
            std::env::temp_dir().join(format!("connectors-servers-{}", std::process::id()));
        fs::create_dir(&directory)?;
        self.directory = Some(directory.clone());
        let user = unprivileged_user(&directory)?;
        let run = |program: &Path, arguments: &[&str]| -> Command {
            let mut run = match user {
                Some(user) => {
                    let mut run = command("runuser", &directory);
                    run.args(["-u", user, "--"]).arg(program);
                    run
                }
                None => command(&program.to_string_lossy(), &directory),
            };
            run.args(arguments);
            run
        };
        let data = directory.join("data");
        let data = data.to_string_lossy();
        stdout_of(run(
            &programs.join("initdb"),
            &[
                "-D",
                &data,
                "-U",
                "postgres",
                "--auth=trust",
                "--no-sync",
                "-E",
                "UTF8",
                "--locale=C",
            ],
        ))?;
        fs::write(directory.join("data/pg_hba.conf"), ACCESS)?;
        let port = free_port()?;
        let settings = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off \
             -c max_connections=300"
        );
        let log = directory.join("postgres.log");
        let control = programs.join("pg_ctl");
        let start = run(
            &control,
            &[
                "-D",
                &data,
                "-w",
                "-l",
                &log.to_string_lossy(),
                "-o",
                &settings,
                "start",
            ],
        );
        stdout_of(start)?;
        self.stop
            .push(run(&control, &["-D", &data, "-m", "immediate", "stop"]));
        println!("PostgreSQL: port {port}");
        self.variables.push((
            POSTGRES,
            format!("postgresql://postgres@127.0.0.1:{port}/postgres"),
        ));

        if on_path("pgbouncer").is_none() {
            install("pgbouncer")?;
        }
        let pooler = on_path("pgbouncer").ok_or("the package pgbouncer contains no program")?;
        let pooler_port = free_port()?;
        let settings = directory.join("pgbouncer.ini");
        let pid = directory.join("pgbouncer.pid");
        let log = directory.join("pgbouncer.log");
        // Debian's 1.18 has no prepared statements in transaction mode.
        let content = format!(
            "[databases]\n* = host=127.0.0.1 port={port} user=postgres\n[pgbouncer]\n\
             listen_addr = 127.0.0.1\nlisten_port = {pooler_port}\nunix_socket_dir =\n\
             auth_type = any\npool_mode = transaction\ndefault_pool_size = 4\n\
             max_client_conn = 500\nlogfile = {}\npidfile = {}\n",
            log.display(),
            pid.display()
        );
        fs::write(&settings, content)?;
        stdout_of(run(&pooler, &["-q", "-d", &settings.to_string_lossy()]))?;
        let mut stop = command("sh", &directory);
        stop.args(["-c", "kill $(cat \"$0\")"]).arg(&pid);
        self.stop.push(stop);
        wait_for(pooler_port)?;
        println!("PgBouncer: port {pooler_port}");
        self.variables.push((
            PGBOUNCER,
            format!("postgresql://postgres@127.0.0.1:{pooler_port}/postgres"),
        ));
        Ok(())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        for stop in self.stop.drain(..).rev() {
            if let Ok(stopped) = finish(stop)
                && !stopped.success
            {
                println!("a database server did not stop: {}", stopped.output());
            }
        }
        if let Some(directory) = self.directory.take() {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

/// Returns the directory of the server's programs: of the newest version below Debian's directory, or
/// a directory of `PATH`.
fn server_programs() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs
                .join("initdb")
                .exists()
                .then_some((version, programs))
        })
        .collect();
    versions.sort();
    match versions.pop() {
        Some((_, programs)) => Some(programs),
        None => on_path("initdb")?.parent().map(Path::to_owned),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a workspace command reads the environment that it was started in"
)]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.exists())
}

/// Installs a package of the machine's distribution, if this process may do so.
fn install(package: &str) -> Result<()> {
    if !is_root()? || on_path("apt-get").is_none() {
        return Err(format!("install the package {package}").into());
    }
    println!("installing the package {package}");
    let mut install = command("apt-get", Path::new("/"));
    install
        .args(["install", "-y", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive");
    stdout_of(install).map(drop)
}

fn is_root() -> Result<bool> {
    let mut id = command("id", Path::new("/"));
    id.arg("-u");
    Ok(stdout_of(id)?.trim() == "0")
}

/// Returns the user who runs the servers if this process runs as root, which the servers refuse. Gives
/// the directory to this user.
fn unprivileged_user(directory: &Path) -> Result<Option<&'static str>> {
    if !is_root()? {
        return Ok(None);
    }
    for user in ["postgres", "nobody"] {
        let mut give = command("chown", directory);
        give.args([OsStr::new(user), directory.as_os_str()]);
        if finish(give)?.success {
            return Ok(Some(user));
        }
    }
    Err("no user `postgres` or `nobody` exists to run the server".into())
}

/// Waits until a server listens. PgBouncer's command returns earlier.
fn wait_for(port: u16) -> Result<()> {
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Err(format!("nothing listens on port {port}").into())
}

/// Returns a port on which nothing listens.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_listen_until_they_are_dropped() {
        let mut servers = Servers::default();
        if let Err(error) = servers.start_all() {
            println!("skipped: a database server is not available: {error}");
            return;
        }
        let addresses: Vec<String> = servers
            .variables()
            .map(|(_, url)| url.split(['@', '/']).nth(3).expect("a host").to_owned())
            .collect();
        assert_eq!(addresses.len(), 2);
        for address in &addresses {
            TcpStream::connect(address).expect("a server listens");
        }
        let directory = servers.directory.clone().expect("a directory");
        drop(servers);
        for address in &addresses {
            assert!(TcpStream::connect(address).is_err(), "{address} has ended");
        }
        assert!(!directory.exists());
        println!("servers started and stopped: {}", addresses.len());
    }
}
