//! The house rules of docs/ARCHITECTURE.md that no compiler and no lint enforces. Each rule is a function from text to
//! complaints, so that each is also shown to complain about something bad.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the sources has failed")]

#[path = "tidy/documents.rs"]
mod documents;
#[path = "tidy/image.rs"]
mod image;
#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/sources.rs"]
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

/// The files below `folder` whose name ends with `extension`, as paths from the root of the package, with their text.
fn files(folder: &str, extension: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|found| found == extension) {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

fn rust_files() -> Vec<(String, String)> {
    ["src", "tests", "benches", "examples"]
        .into_iter()
        .flat_map(|folder| files(folder, "rs"))
        .collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf()
}

fn assert_clean(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}
