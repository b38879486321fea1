//! Length, the clock, and what is left over.

use super::{assert_clean, files, rust_files};

const MAX_LINES: usize = 500;

/// Whose `now` is no time of day: `Instant` measures spans and never reaches what is stored or sent.
const MAY_SAY_NOW: &[&str] = &["Instant", "clock"];

#[test]
fn no_file_is_longer_than_500_lines() {
    let complaints: Vec<_> = rust_files()
        .iter()
        .filter_map(|(path, text)| too_long(path, text))
        .collect();
    assert_clean(&complaints);
}

#[test]
fn time_and_ids_are_taken_only_in_the_clock() {
    let sources = files("src", "rs")
        .into_iter()
        .filter(|(path, _)| path != "src/clock.rs");
    let complaints: Vec<_> = sources.flat_map(|(path, text)| stray_now(&path, &text)).collect();
    assert_clean(&complaints);
}

#[test]
fn nothing_is_left_over() {
    let complaints: Vec<_> = rust_files()
        .iter()
        .flat_map(|(path, text)| left_over(path, text))
        .collect();
    assert_clean(&complaints);
}

#[test]
fn a_file_that_is_too_long_is_found() {
    assert!(too_long("a.rs", &"x\n".repeat(501)).is_some());
    assert!(too_long("a.rs", &"x\n".repeat(500)).is_none());
}

#[test]
fn a_stray_now_is_found() {
    for bad in [
        "let t = Utc::now();",
        "chrono::Utc::now ()",
        "map(SystemTime::now)",
        "Uuid::now_v7()",
        "Uuid::new_v4()",
    ] {
        assert_eq!(stray_now("a.rs", bad).len(), 1, "{bad}");
    }
    for good in [
        "Instant::now()",
        "clock::now()",
        "clock.now()",
        "// Utc::now()",
        "\"Utc::now()\"",
        "a::nowhere()",
    ] {
        assert_eq!(stray_now("a.rs", good).len(), 0, "{good}");
    }
}

#[test]
fn what_is_left_over_is_found() {
    let bad = [
        concat!("to", "do!()"),
        concat!("unimple", "mented!()"),
        concat!("// FIX", "ME"),
        concat!("// TO", "DO"),
    ];
    for bad in bad {
        assert_eq!(left_over("a.rs", bad).len(), 1, "{bad}");
    }
    assert_eq!(left_over("a.rs", "fn f() {}").len(), 0);
}

#[test]
fn comments_and_strings_are_no_code() {
    let blank = without_comments_and_strings;
    assert_eq!(blank("a // b\nc"), "a \nc");
    assert_eq!(blank("a /* b\n /* c */ */ d"), "a \n d");
    assert_eq!(blank(r#"a "b\"c" d"#), r#"a "" d"#);
    assert_eq!(blank("a r#\"b\"c\"# d"), "a \"\" d");
    assert_eq!(blank("'\"' a '\\'' <'b>"), "' ' a ' ' <'b>");
}

fn too_long(path: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > MAX_LINES).then(|| format!("{path}: {lines} lines; {MAX_LINES} are allowed"))
}

fn stray_now(path: &str, text: &str) -> Vec<String> {
    let code = without_comments_and_strings(text);
    let mut complaints = Vec::new();
    for word in ["::now", "::now_utc", "::now_v7", "::new_v4"] {
        for (index, _) in code.match_indices(word) {
            let is_longer = code[index + word.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '_');
            let owner = code[..index]
                .rsplit(|c: char| !c.is_alphanumeric() && c != '_')
                .next()
                .unwrap_or_default();
            if !is_longer && !MAY_SAY_NOW.contains(&owner) {
                let line = code[..index].lines().count();
                complaints.push(format!("{path}:{line}: {owner}{word} belongs in src/clock.rs"));
            }
        }
    }
    complaints
}

fn left_over(path: &str, text: &str) -> Vec<String> {
    let words = [
        concat!("to", "do!"),
        concat!("unimple", "mented!"),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
    ];
    words
        .iter()
        .filter(|word| text.contains(**word))
        .map(|word| format!("{path}: {word} is left over"))
        .collect()
}

/// The code alone, with its line feeds, so that no comment and no text is taken for it.
pub(super) fn without_comments_and_strings(text: &str) -> String {
    let mut code = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if c == '"' {
            code.push_str("\"\"");
            quoted(rest)
        } else if let Some(length) = raw_string(rest).filter(|_| !code.ends_with(is_word)) {
            code.push_str("\"\"");
            length
        } else if let Some(length) = character(rest) {
            code.push_str("' '");
            length
        } else {
            code.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        code.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
        rest = &rest[skipped..];
    }
    code
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut index = 0;
    while index < text.len() {
        let rest = &text.as_bytes()[index..];
        let step = if rest.starts_with(b"/*") {
            depth += 1;
            2
        } else if rest.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        index += step;
        if depth == 0 {
            break;
        }
    }
    index
}

fn quoted(text: &str) -> usize {
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        if c == '"' && !escaped {
            return index + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

fn raw_string(text: &str) -> Option<usize> {
    let after = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let body = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    Some(
        body.find(&end)
            .map_or(text.len(), |index| text.len() - body.len() + index + end.len()),
    )
}

/// `'x'` and `'\n'`, but no lifetime.
fn character(text: &str) -> Option<usize> {
    let mut characters = text.strip_prefix('\'')?.char_indices();
    if let (_, '\\') = characters.next()? {
        let end = text[3..].find('\'')?;
        return Some(3 + end + 1);
    }
    let (index, quote) = characters.next()?;
    (quote == '\'').then_some(1 + index + 1)
}
