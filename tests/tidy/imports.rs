//! Who may import whom.

use super::{assert_clean, files, sources};

/// Each module of the crate and what it may import; `app` and `main` may import all.
const TABLE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("config", &[]),
    ("clock", &["domain"]),
    ("telemetry", &["config"]),
    ("open_files", &[]),
    ("failpoint", &[]),
    ("cli", &["domain", "config", "mirror"]),
    ("wire", &["domain"]),
    ("store", &["domain", "wire", "clock", "failpoint"]),
    ("events", &["domain", "wire", "store", "clock", "failpoint"]),
    ("mqtt", &["domain", "wire", "events", "config", "failpoint"]),
    // A client of the outside: it knows the service by its links and documents alone.
    ("mirror", &["domain", "wire", "mqtt"]),
    ("http", &["domain", "wire", "store", "events", "config", "clock"]),
];

/// These take their section of the configuration and never all of it.
const SECTION_ONLY: &[&str] = &["mqtt", "http"];

const FREE: &[&str] = &["app", "main", "lib"];

#[test]
fn every_module_imports_only_what_the_table_allows() {
    let complaints: Vec<_> = files("src", "rs")
        .iter()
        .flat_map(|(path, text)| complaints(path, text))
        .collect();
    assert_clean(&complaints);
}

#[test]
fn a_forbidden_import_is_found_in_every_spelling() {
    for bad in [
        "use crate::mqtt::Broker;",
        "use crate::{domain::Sensor, mqtt::Broker};",
        "fn f() { crate::mqtt::start() }",
        "use super::super::mqtt;",
        "use crate::config::Config;",
        "use crate::config::{HttpConfig, Config};",
        "use crate::*;",
    ] {
        assert_eq!(complaints("src/http/get.rs", bad).len(), 1, "{bad}");
    }
    assert_eq!(complaints("src/http/mod.rs", "use super::mqtt;").len(), 1);
    assert_eq!(complaints("src/odd.rs", "use crate::domain::Sensor;").len(), 1);
}

#[test]
fn an_allowed_import_is_not_complained_about() {
    for good in [
        "use crate::{domain::{Sensor, Revision}, store::Store};",
        "use crate::http::problem::Problem;",
        "use crate::config::HttpConfig;",
        "// use crate::mqtt\nlet a = \"crate::mqtt::x\";",
        "use super::problem;\nmod tests {\n use super::super::problem;\n}",
    ] {
        assert_eq!(complaints("src/http/get.rs", good), Vec::<String>::new(), "{good}");
    }
    assert_eq!(
        complaints("src/app.rs", "use crate::mqtt::Broker;"),
        Vec::<String>::new()
    );
}

fn complaints(path: &str, text: &str) -> Vec<String> {
    let parts: Vec<_> = path
        .trim_start_matches("src/")
        .trim_end_matches(".rs")
        .split('/')
        .collect();
    let module = parts[0];
    if FREE.contains(&module) {
        return Vec::new();
    }
    let Some((_, allowed)) = TABLE.iter().find(|(name, _)| *name == module) else {
        return vec![format!(
            "{path}: the module {module} is not in the import table of tests/tidy"
        )];
    };
    let code = sources::without_comments_and_strings(text);
    let depth = parts.iter().filter(|part| **part != "mod").count();
    let mut complaints: Vec<_> = escapes(&code, depth)
        .map(|line| format!("{path}:{line}: super leaves the module"))
        .collect();
    for imported in imports(&code) {
        let first = imported[0].as_str();
        if first != module && !allowed.contains(&first) {
            complaints.push(format!("{path}: {module} may not import {}", imported.join("::")));
        } else if SECTION_ONLY.contains(&module)
            && first == "config"
            && imported.get(1).is_some_and(|item| item == "Config")
        {
            complaints.push(format!(
                "{path}: {module} may import its section of the configuration, not all of it"
            ));
        }
    }
    complaints
}

/// The lines in which `super` reaches the crate's root, in a file that is `depth` modules below it. What follows the
/// first `mod … {` is taken to be one deeper: that is the module of the tests, at the end of the file.
fn escapes(code: &str, depth: usize) -> impl Iterator<Item = usize> {
    let mut inner = 0;
    code.lines().enumerate().filter_map(move |(index, line)| {
        if line.trim_start().starts_with("mod ") && line.contains('{') {
            inner = 1;
        }
        (line.matches("super::").count() >= depth + inner && line.contains("super::")).then_some(index + 1)
    })
}

/// Every path after `crate::`, groups expanded, as segments.
fn imports(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (index, _) in code.match_indices("crate::") {
        let before = code[..index].chars().next_back();
        if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            tree(&mut code[index + "crate::".len()..].chars().peekable(), &[], &mut found);
        }
    }
    found
}

type Characters<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn tree(rest: &mut Characters, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    loop {
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        if rest.next_if_eq(&'{').is_some() {
            while rest.peek().is_some_and(|c| *c != '}') {
                tree(rest, &path, found);
                while rest.next_if(|c| *c != ',' && *c != '}').is_some() {}
                while rest.next_if(|c| *c == ',' || c.is_whitespace()).is_some() {}
            }
            rest.next();
            return;
        }
        let mut name = String::new();
        while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '*')) {
            name.push(c);
        }
        path.push(name);
        if rest.next_if_eq(&':').is_none() || rest.next_if_eq(&':').is_none() {
            found.push(path);
            return;
        }
    }
}
