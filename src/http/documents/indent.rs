//! JSON for people, without reading it into a map, which would lose the order of its members.

/// The longest object or array that stays on one line, in bytes.
const MAX_LINE: usize = 88;

/// Valid JSON on several lines, but for short objects and arrays that hold no others.
#[must_use]
pub fn indented(json: &str) -> String {
    let tokens = tokens(json);
    let mut out = String::new();
    let (mut depth, mut index) = (0_usize, 0);
    while let Some(&token) = tokens.get(index) {
        let is_closing = is_closing(token);
        if is_closing {
            depth = depth.saturating_sub(1);
            break_line(&mut out, depth);
        }
        if let Some(length) = flat_length(&tokens[index..]) {
            tokens[index..index + length]
                .iter()
                .for_each(|token| push_spaced(&mut out, token));
            index += length;
            continue;
        }
        index += 1;
        match token {
            "{" | "[" => {
                out.push_str(token);
                depth += 1;
                break_line(&mut out, depth);
            }
            "," => {
                out.push_str(token);
                break_line(&mut out, depth);
            }
            _ => push_spaced(&mut out, token),
        }
    }
    out
}

/// How many tokens the object or array has that starts here, when it fits on one line.
fn flat_length(tokens: &[&str]) -> Option<usize> {
    if !is_opening(tokens.first()?) {
        return None;
    }
    let inner = tokens[1..]
        .iter()
        .position(|token| is_opening(token) || is_closing(token))?;
    let length = inner + 2;
    let bytes: usize = tokens[..length].iter().map(|token| token.len() + 1).sum();
    (is_closing(tokens[inner + 1]) && bytes <= MAX_LINE).then_some(length)
}

fn push_spaced(out: &mut String, token: &str) {
    out.push_str(token);
    if matches!(token, "," | ":") {
        out.push(' ');
    }
}

fn break_line(out: &mut String, depth: usize) {
    out.truncate(out.trim_end().len());
    out.push('\n');
    out.push_str(&"  ".repeat(depth));
}

fn is_opening(token: &str) -> bool {
    matches!(token, "{" | "[")
}

fn is_closing(token: &str) -> bool {
    matches!(token, "}" | "]")
}

/// Punctuation, texts with their quotes, and other scalars.
fn tokens(json: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = json.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => text_length(rest),
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest
                .find(|c: char| "{}[],:\"".contains(c) || c.is_whitespace())
                .unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(length);
        tokens.push(token);
        rest = after.trim_start();
    }
    tokens
}

fn text_length(json: &str) -> usize {
    let mut escaped = false;
    for (index, c) in json.char_indices().skip(1) {
        if c == '"' && !escaped {
            return index + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    json.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Json;

    use super::*;

    #[test]
    fn short_objects_stay_on_a_line_and_texts_as_they_are() {
        let json = r#"{"b":"x,{\"y\\","a":[{"c":1,"d":[]},2]}"#;
        let expected =
            "{\n  \"b\": \"x,{\\\"y\\\\\",\n  \"a\": [\n    {\n      \"c\": 1,\n      \"d\": []\n    },\n    2\n  ]\n}";
        assert_eq!(indented(json), expected);
        assert_eq!(indented(r#"{"a":[1,2],"b":{}}"#), "{\n  \"a\": [1, 2],\n  \"b\": {}\n}");
    }

    proptest! {
        #[test]
        fn it_says_the_same(text in ".*", number: i64) {
            let json = serde_json::json!({"a": {&text: [text.clone(), number, null]}, "b": [[], {}]}).to_string();
            let read = |json: &str| serde_json::from_str::<Json>(json).unwrap();
            prop_assert_eq!(read(&indented(&json)), read(&json));
        }
    }
}
