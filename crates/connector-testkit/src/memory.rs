//! Memory use of the test process, for tests of bounded memory use. Such a test needs a program of
//! its own.

/// Returns the current resident memory of this process in bytes, or `None` if the operating system
/// does not report it in `/proc`.
#[must_use]
pub fn current() -> Option<u64> {
    resident("VmRSS:")
}

/// Returns the maximum resident memory of this process so far in bytes, or `None` if the operating
/// system does not report it in `/proc`.
#[must_use]
pub fn peak() -> Option<u64> {
    resident("VmHWM:")
}

fn resident(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mut lines = status.lines();
    let value = lines.find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib * 1024)
}
