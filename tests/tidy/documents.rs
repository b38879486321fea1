//! What documents and scripts promise.

use std::fs;
use std::path::PathBuf;

use super::{assert_clean, files, root};

/// A word in backticks that begins so is a path of this package.
const FOLDERS: &[&str] = &[
    "src/",
    "tests/",
    "docs/",
    "migrations/",
    "openapi/",
    "examples/",
    "benches/",
    "scripts/",
    "deploy/",
    ".ci/",
    ".sqlx/",
];

#[test]
fn every_path_that_a_document_names_exists() {
    let mut documents = files("docs", "md");
    for name in ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"] {
        documents.extend(fs::read_to_string(root().join(name)).map(|text| (name.to_owned(), text)));
    }
    assert!(!documents.is_empty());
    let complaints: Vec<_> = documents
        .iter()
        .flat_map(|(path, text)| dead_paths(path, text))
        .collect();
    assert_clean(&complaints);
}

#[test]
fn ci_runs_the_tests_of_the_readme_and_nothing_else() {
    let script = fs::read_to_string(root().join(".ci/run")).unwrap();
    assert_eq!(commands(&script), ["make test"]);
}

#[test]
fn a_dead_path_is_found() {
    for bad in [
        "see `src/nowhere.rs`",
        "see `src/nowhere.rs:12`",
        "[a](docs/NOWHERE.md)",
        "[a](NOWHERE.md#b)",
        "`tests/no/`",
    ] {
        assert_eq!(dead_paths("README.md", bad).len(), 1, "{bad}");
    }
    assert_eq!(dead_paths("docs/A.md", "[a](../NOWHERE.md)").len(), 1);
}

#[test]
fn a_living_path_is_not() {
    for good in [
        "`src/main.rs`, `src/main.rs:1`, `src/`, `src/{a,b}.rs`, `src/**`, `sensors/{id}`, `src/x y`",
        "[a](Cargo.toml), [b](https://example.com/x.md), [c](#d), [e](src/main.rs#L1)",
        "```\n`src/nowhere.rs`\n```",
    ] {
        assert_eq!(dead_paths("README.md", good), Vec::<String>::new(), "{good}");
    }
    assert_eq!(dead_paths("docs/A.md", "[a](../Cargo.toml)"), Vec::<String>::new());
}

#[test]
fn another_command_of_ci_is_found() {
    assert_eq!(
        commands("#!/bin/sh\nset -eu\ncd x\n# a\nmake test\ncargo build\n"),
        ["make test", "cargo build"]
    );
}

fn dead_paths(document: &str, text: &str) -> Vec<String> {
    let folder = document.rsplit_once('/').map(|(folder, _)| folder).unwrap_or_default();
    let mut complaints = Vec::new();
    let mut is_fenced = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            let named = named_paths(line).map(|path| (root().join(path), path));
            let linked = linked_paths(line).map(|path| (from_root(folder, path), path));
            let dead = named.chain(linked).filter(|(path, _)| !path.exists());
            complaints.extend(dead.map(|(_, path)| format!("{document}:{}: {path} does not exist", index + 1)));
        }
    }
    complaints
}

/// A path as a link of a document in `folder` has it, without asking whether the folders on the way exist.
fn from_root(folder: &str, path: &str) -> PathBuf {
    let mut found = root().join(folder);
    for part in path.split('/') {
        match part {
            ".." => _ = found.pop(),
            part => found.push(part),
        }
    }
    found
}

fn named_paths(line: &str) -> impl Iterator<Item = &str> {
    let quoted = line.split('`').skip(1).step_by(2);
    let is_pattern = |word: &str| word.contains(['*', '{', '<', ' ', '…', '$']);
    quoted
        .filter(move |word| FOLDERS.iter().any(|folder| word.starts_with(folder)) && !is_pattern(word))
        .map(|word| word.split(':').next().unwrap_or(word))
}

fn linked_paths(line: &str) -> impl Iterator<Item = &str> {
    let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets
        .filter(|target| !target.contains("://") && !target.starts_with('#') && !target.starts_with("mailto:"))
        .map(|target| target.split('#').next().unwrap_or(target))
}

/// The lines of a shell script that do something, but for changing to the package's folder.
fn commands(script: &str) -> Vec<&str> {
    let is_setup =
        |line: &&str| line.is_empty() || line.starts_with('#') || line.starts_with("set ") || line.starts_with("cd ");
    script.lines().map(str::trim).filter(|line| !is_setup(line)).collect()
}
