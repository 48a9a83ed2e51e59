//! Recording of all log output of a test process, for the leak probe.

use std::fs::OpenOptions;
use std::io::{self, LineWriter};
use std::sync::{Mutex, OnceLock};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config;

/// Records every event and span of this process, of any level, in the file
/// `trace-<program>-<process id>.log`. The environment variable `CONNECTORS_TEST_ARTEFACTS` sets
/// the directory.
///
/// Does nothing if the variable is not set or if the function was called before.
///
/// # Panics
/// Panics if the file cannot be opened, or if another subscriber is installed for the process.
/// Without the panic, a run without recorded output would look like a run without leaks.
pub fn init() {
    static DONE: OnceLock<()> = OnceLock::new();
    DONE.get_or_init(|| {
        let recording = install();
        assert!(
            recording.is_ok(),
            "the log output of this process cannot be recorded: {recording:?}"
        );
    });
}

fn install() -> io::Result<()> {
    let Some(directory) = config::artefacts() else {
        return Ok(());
    };
    std::fs::create_dir_all(&directory)?;
    let program = std::env::current_exe()?;
    let program = program.file_name().unwrap_or_default().to_string_lossy();
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join(format!("trace-{program}-{}.log", std::process::id())))?;
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_span_events(FmtSpan::NEW | FmtSpan::CLOSE)
        .with_ansi(false)
        .with_writer(Mutex::new(LineWriter::new(file)))
        .try_init()
        .map_err(io::Error::other)
}
