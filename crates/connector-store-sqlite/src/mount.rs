//! Detection of network file systems, on which SQLite's locks are not reliable.

use std::path::{Path, PathBuf};

/// Returns the name of the network file system that contains `path`, or `None` if the file system
/// is local. `path` must be absolute and free of symbolic links. Always returns `None` outside
/// Linux.
pub(crate) fn network_file_system(path: &Path) -> Option<String> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let file_system = file_system(&table, path)?;
    is_network(&file_system).then_some(file_system)
}

/// Returns the type of the file system that contains `path`. `table` has the format of Linux's
/// `/proc/self/mountinfo` (see proc(5)).
fn file_system(table: &str, path: &Path) -> Option<String> {
    table
        .lines()
        .filter_map(parse_line)
        .filter(|(mount_point, _)| path.starts_with(mount_point))
        .enumerate()
        // A later mount on the same mount point hides the earlier one.
        .max_by_key(|(order, (mount_point, _))| (mount_point.components().count(), *order))
        .map(|(_, (_, file_system))| file_system.to_owned())
}

fn parse_line(line: &str) -> Option<(PathBuf, &str)> {
    // The number of optional fields varies. A single hyphen ends them.
    let (fields, rest) = line.split_once(" - ")?;
    let mount_point = fields.split(' ').nth(4)?;
    let file_system = rest.split(' ').next()?;
    Some((PathBuf::from(unescape(mount_point)), file_system))
}

/// Decodes the octal escapes of spaces and backslashes.
fn unescape(field: &str) -> String {
    [
        ("\\040", " "),
        ("\\011", "\t"),
        ("\\012", "\n"),
        ("\\134", "\\"),
    ]
    .into_iter()
    .fold(field.to_owned(), |text, (escape, plain)| {
        text.replace(escape, plain)
    })
}

fn is_network(file_system: &str) -> bool {
    const NETWORK: [&str; 18] = [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "coda",
        "ncpfs",
        "lustre",
        "beegfs",
        "glusterfs",
        "gfs2",
        "ocfs2",
        "vboxsf",
        "prl_fs",
        "fuse",
    ];
    // `fuse.sshfs`, `fuse.glusterfs` and similar. `fuseblk` is a local disk.
    NETWORK.contains(&file_system) || file_system.starts_with("fuse.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /mnt rw,relatime - ext4 /dev/sdb1 rw
31 30 0:40 / /mnt/team\\040files rw,relatime shared:7 master:2 - nfs4 server:/export rw,vers=4.2
32 22 0:41 / /home/me/remote rw,nosuid - fuse.sshfs me@host:/ rw
33 22 8:3 / /media/stick rw - fuseblk /dev/sdc1 rw
34 22 0:42 / /over rw - ext4 /dev/sdd1 rw
35 22 0:43 / /over rw - cifs //server/share rw
this line is not one of the table
";

    #[test]
    fn the_deepest_and_latest_mount_determines_the_file_system() {
        let cases = [
            ("/var/lib/store.db", "ext4", false),
            ("/mnt/store.db", "ext4", false),
            ("/mnt/team files/store.db", "nfs4", true),
            ("/mnt/team files too/store.db", "ext4", false),
            ("/home/me/remote/a/store.db", "fuse.sshfs", true),
            ("/media/stick/store.db", "fuseblk", false),
            ("/over/store.db", "cifs", true),
        ];
        for (path, expected, network) in cases {
            let found = file_system(TABLE, Path::new(path));
            assert_eq!(found.as_deref(), Some(expected), "{path}");
            assert_eq!(is_network(expected), network, "{path}");
        }
    }

    #[test]
    fn the_memory_of_this_machine_is_not_on_the_network() {
        assert_eq!(network_file_system(Path::new("/proc/self/mountinfo")), None);
    }

    #[test]
    fn an_unreadable_mount_table_is_ignored() {
        for table in ["", "\n\n", "1 2 3", "1 2 3 4 - ", "a - b"] {
            assert_eq!(file_system(table, Path::new("/store.db")), None, "{table}");
        }
    }
}
