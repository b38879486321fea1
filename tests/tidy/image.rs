use std::fs;
use std::path::Path;
use std::process::Command;

/// What the Dockerfile copies from this folder.
fn copied() -> Vec<String> {
    let dockerfile = fs::read_to_string("Dockerfile").unwrap();
    let copies = dockerfile.lines().filter_map(|line| line.strip_prefix("COPY "));
    let sources = copies.filter(|copy| !copy.starts_with("--from")).flat_map(|copy| {
        let words: Vec<&str> = copy.split_whitespace().collect();
        words[..words.len() - 1]
            .iter()
            .map(|word| (*word).to_owned())
            .collect::<Vec<_>>()
    });
    sources.collect()
}

#[test]
fn what_the_image_is_built_from_is_all_that_cargo_asks_for() {
    let ignored = fs::read_to_string(".dockerignore").unwrap();
    let folder = tempfile::tempdir().unwrap();
    for name in copied() {
        assert!(
            ignored.lines().any(|line| line == format!("!{name}")),
            "{name} is not let through"
        );
        copy(Path::new(&name), &folder.path().join(&name));
    }
    // It reads the manifest, misses the target, and so builds nothing.
    let cargo = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--offline", "--bin", "none-of-this-name"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&cargo.stderr);
    assert!(said.contains("no bin target named `none-of-this-name`"), "{said}");
}

#[test]
fn the_image_runs_as_a_number_that_is_not_root() {
    let dockerfile = fs::read_to_string("Dockerfile").unwrap();
    let user = dockerfile.lines().find_map(|line| line.strip_prefix("USER ")).unwrap();
    let is_number = |word: &str| word.parse::<u32>().is_ok_and(|number| number > 0);
    assert!(user.split(':').count() == 2 && user.split(':').all(is_number), "{user}");
    // The owner of /data and the user are one.
    for word in user
        .split(':')
        .zip(["--uid", "--gid"])
        .map(|(number, flag)| format!("{flag} {number}"))
    {
        assert!(dockerfile.contains(&word), "{word}");
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let name = entry.unwrap().file_name();
            copy(&from.join(&name), &to.join(&name));
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}
