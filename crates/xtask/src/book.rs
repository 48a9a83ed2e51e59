//! The book check: links and anchors of all Markdown files, the table of contents, and mdBook.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use crate::check::Outcome;
use crate::process::{cargo, command, finish, stdout_of};
use crate::workspace::Workspace;
use crate::{Result, counterparts};

const VERSION: &str = "0.5.4";
const SUMMARY: &str = "docs/SUMMARY.md";

/// The links and the anchors of a Markdown file.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page {
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

/// Checks the links of all tracked Markdown files and the table of contents, and builds the book.
///
/// The check installs mdBook in the target directory. If that is not possible, the check is
/// skipped, or fails if the environment variable `CI` is `true`.
pub(crate) fn gate(workspace: &Workspace) -> Result<Outcome> {
    let root = workspace.root();
    let mut list = command("git", root);
    list.args(["ls-files", "-z"]);
    let listed = stdout_of(list)?;
    let files: BTreeSet<&str> = listed.split('\0').filter(|it| !it.is_empty()).collect();
    let mut pages = BTreeMap::new();
    for file in files.iter().map(Path::new) {
        if file.extension().is_some_and(|it| it == "md") {
            pages.insert(file.to_owned(), page(&fs::read_to_string(root.join(file))?));
        }
    }
    let exists = |path: &Path| root.join(path).exists();
    let mut complaints = complaints(&pages, &exists);
    let links: usize = pages.values().map(|page| page.links.len()).sum();
    let summary = Path::new(SUMMARY);
    let contents: BTreeSet<PathBuf> = pages.get(summary).map_or_else(BTreeSet::new, |page| {
        let links = page.links.iter();
        links
            .filter_map(|link| target(summary, link))
            .map(|(path, _)| path)
            .collect()
    });
    for path in pages.keys() {
        if path.starts_with("docs") && path != summary && !contents.contains(path) {
            complaints.push(format!("{}: is not in {SUMMARY}", path.display()));
        }
    }
    if !complaints.is_empty() {
        return Ok(Outcome::Failed(complaints.join("\n")));
    }
    let directory = workspace.target_directory().join("tools");
    let program = directory.join("bin/mdbook");
    if !is_installed(&program, root) {
        let mut install = cargo(
            root,
            &["install", "mdbook", "--locked", "--version", VERSION],
        );
        install
            .args(["--no-default-features", "--root"])
            .arg(&directory);
        let installed = finish(install)?;
        if !installed.success {
            return Ok(if counterparts::is_ci() {
                Outcome::Failed(installed.output())
            } else {
                Outcome::Skipped(format!("mdBook {VERSION} could not be installed"))
            });
        }
    }
    let mut build = command(&program.to_string_lossy(), root);
    build
        .args(["build", "--dest-dir"])
        .arg(workspace.target_directory().join("book"));
    let outcome = finish(build)?;
    if !outcome.success {
        return Ok(Outcome::Failed(outcome.output()));
    }
    Ok(Outcome::Passed(format!(
        "{links} links in {} files, {} pages built",
        pages.len(),
        contents.len()
    )))
}

fn is_installed(program: &Path, root: &Path) -> bool {
    let mut version = command(&program.to_string_lossy(), root);
    version.arg("--version");
    stdout_of(version).is_ok_and(|text| text.contains(VERSION))
}

/// Returns a complaint for each link whose file or anchor does not exist.
fn complaints(pages: &BTreeMap<PathBuf, Page>, exists: &dyn Fn(&Path) -> bool) -> Vec<String> {
    let mut complaints = Vec::new();
    for (path, page) in pages {
        for link in &page.links {
            let Some((file, anchor)) = target(path, link) else {
                continue;
            };
            let wrong = match (pages.get(&file), anchor) {
                (Some(page), Some(anchor)) if !page.anchors.contains(anchor) => {
                    "there is no such heading"
                }
                (None, _) if !exists(&file) => "there is no such file",
                _ => continue,
            };
            complaints.push(format!("{}: `{link}`: {wrong}", path.display()));
        }
    }
    complaints
}

/// Returns the file and the anchor that a link in `from` refers to, or `None` for a link to another
/// site.
fn target<'l>(from: &Path, link: &'l str) -> Option<(PathBuf, Option<&'l str>)> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (link, None),
    };
    if file.is_empty() {
        return Some((from.to_owned(), anchor));
    }
    let mut path = PathBuf::new();
    for part in from.parent()?.join(file).components() {
        match part {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    Some((path, anchor))
}

fn page(text: &str) -> Page {
    let mut page = Page::default();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                page.links.push(dest_url.into_string());
            }
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let mut unique = anchor.clone();
                let mut number = 1;
                while !page.anchors.insert(unique) {
                    unique = format!("{anchor}-{number}");
                    number += 1;
                }
            }
            Event::Text(text) | Event::Code(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text);
                }
            }
            _ => {}
        }
    }
    page
}

/// Returns the anchor of a heading, as mdBook and GitHub create it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|it| match it {
        ' ' => Some('-'),
        '-' | '_' => Some(it),
        _ => it.is_alphanumeric().then_some(it),
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_wrong_if_its_file_or_heading_does_not_exist() {
        let text = "# Any `Code`, and more\n\n[a](b.md#two) [b](b.md#three) [c](../c.md) [d](#any-code-and-more)\n\
                    [e](https://x.example/y) [f](e.png) [g](b.md)\n\n```text\n[no](link.md)\n```\n";
        let pages: BTreeMap<PathBuf, Page> = [
            (PathBuf::from("docs/a.md"), page(text)),
            (PathBuf::from("docs/b.md"), page("## Two\n## Two\n")),
        ]
        .into();
        let exists = |path: &Path| path == Path::new("docs/e.png");
        let found = complaints(&pages, &exists);
        assert_eq!(
            found,
            [
                "docs/a.md: `b.md#three`: there is no such heading",
                "docs/a.md: `../c.md`: there is no such file",
            ]
        );
        assert_eq!(
            pages[Path::new("docs/b.md")].anchors,
            ["two".to_owned(), "two-1".to_owned()].into()
        );
    }
}
