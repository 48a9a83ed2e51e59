//! Memory use of the test process, on Linux.

/// Returns the current (`VmRSS`) or maximum (`VmHWM`) resident memory of this process in bytes.
pub(crate) fn resident(field: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'))
        .unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    kib * 1024
}
