//! The text check: searches for text that must not be committed, such as unfinished work and paths
//! of one machine.

use std::fs;

use crate::Result;
use crate::check::Outcome;
use crate::process::{command, stdout_of};
use crate::workspace::Workspace;

/// A forbidden text. It is split, so that this file does not contain it.
struct Forbidden {
    text: &'static str,
    why: &'static str,
    /// True if the text counts only as a whole word.
    whole_word: bool,
}

const UNFINISHED: &str = "unfinished work";
const MACHINE: &str = "a path of one machine";
const REGISTRY: &str = "a registry belongs in cargo's configuration, not here";

const FORBIDDEN: &[Forbidden] = &[
    Forbidden {
        text: concat!("TO", "DO"),
        why: UNFINISHED,
        whole_word: true,
    },
    Forbidden {
        text: concat!("FIX", "ME"),
        why: UNFINISHED,
        whole_word: true,
    },
    Forbidden {
        text: concat!("XX", "X"),
        why: UNFINISHED,
        whole_word: true,
    },
    Forbidden {
        text: concat!("unimpl", "emented!"),
        why: UNFINISHED,
        whole_word: true,
    },
    Forbidden {
        text: concat!("to", "do!"),
        why: UNFINISHED,
        whole_word: true,
    },
    Forbidden {
        text: concat!("/wo", "rk/"),
        why: MACHINE,
        whole_word: false,
    },
    Forbidden {
        text: concat!("/ro", "ot/"),
        why: MACHINE,
        whole_word: false,
    },
    Forbidden {
        text: concat!("index.crates", ".io"),
        why: REGISTRY,
        whole_word: false,
    },
    Forbidden {
        text: concat!("static.crates", ".io"),
        why: REGISTRY,
        whole_word: false,
    },
    Forbidden {
        text: concat!("registry.npm", "js.org"),
        why: REGISTRY,
        whole_word: false,
    },
    Forbidden {
        text: concat!("pypi", ".org"),
        why: REGISTRY,
        whole_word: false,
    },
    Forbidden {
        text: concat!("python", "hosted.org"),
        why: REGISTRY,
        whole_word: false,
    },
    Forbidden {
        text: concat!("proxy.gol", "ang.org"),
        why: REGISTRY,
        whole_word: false,
    },
    Forbidden {
        text: concat!("deb.deb", "ian.org"),
        why: REGISTRY,
        whole_word: false,
    },
];

pub(crate) fn gate(workspace: &Workspace) -> Result<Outcome> {
    let mut list = command("git", workspace.root());
    // Untracked files are included, so that the check fails before a commit rather than after it.
    list.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let mut complaints = Vec::new();
    let mut files = 0;
    for name in stdout_of(list)?.split_terminator('\0') {
        let path = workspace.root().join(name);
        if !path.is_file() {
            continue;
        }
        files += 1;
        let text = fs::read(&path)?;
        complaints.extend(
            findings(&String::from_utf8_lossy(&text))
                .into_iter()
                .map(|(line, text, why)| format!("{name}:{line}: `{text}`: {why}")),
        );
    }
    if files == 0 {
        return Err("git lists no files".into());
    }
    Ok(Outcome::of_complaints(
        format!("{files} files"),
        &complaints,
    ))
}

/// Returns the line number, the forbidden text and the reason of each finding.
fn findings(text: &str) -> Vec<(usize, &'static str, &'static str)> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        for forbidden in FORBIDDEN {
            if line.match_indices(forbidden.text).any(|(at, _)| {
                !forbidden.whole_word || is_whole_word(line, at, at + forbidden.text.len())
            }) {
                found.push((index + 1, forbidden.text, forbidden.why));
            }
        }
    }
    found
}

fn is_whole_word(line: &str, start: usize, end: usize) -> bool {
    let continues = |c: char| c.is_alphanumeric() || c == '_';
    !line[..start].ends_with(continues) && !line[end..].starts_with(continues)
}

#[cfg(test)]
mod tests {
    use super::{FORBIDDEN, findings};

    #[test]
    fn every_forbidden_text_is_found_with_its_line() {
        for forbidden in FORBIDDEN {
            let text = format!("first\n// {} second\nthird", forbidden.text);
            let found = findings(&text);
            assert_eq!(found.len(), 1, "{}", forbidden.text);
            assert_eq!((found[0].0, found[0].1), (2, forbidden.text));
        }
    }

    #[test]
    fn a_word_inside_a_longer_word_is_none() {
        let word = FORBIDDEN[0].text;
        assert!(findings(&format!("AU{word} {word}S my_{word}")).is_empty());
        assert_eq!(findings(&format!("AU{word} ({word})")).len(), 1);
    }

    #[test]
    fn ordinary_text_is_clean() {
        assert!(findings("a work/life balance\nsee crates.io and docs.rs\n").is_empty());
    }
}
