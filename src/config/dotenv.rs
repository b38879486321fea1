//! The file `.env` of the current folder, and of no folder above it.

use std::collections::HashSet;
use std::path::Path;

use thiserror::Error;

/// Why `.env` cannot be used. The text never holds a value, which may be a secret.
#[derive(Debug, Error)]
pub enum DotenvError {
    /// There is a file, and it cannot be read.
    #[error("{path} cannot be read: {reason}")]
    Unreadable {
        /// The file as it was named.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// A line is not of the form `NAME=value`.
    #[error("{path}, {place} is malformed: NAME=value is allowed, with a value of several words in quotes")]
    Malformed {
        /// The file as it was named.
        path: String,
        /// The line's number, and the name before its `=`.
        place: String,
    },
    /// Shells take the last one, other programs the first.
    #[error("{path} has {name} twice, and only one of them can count: remove the other")]
    Twice {
        /// The file as it was named.
        path: String,
        /// What stands before the `=` of both.
        name: String,
    },
}

/// Puts what `path` says into the environment of the process, except for variables that are set there already. A
/// missing file is fine. Call it before the process has a second thread: the environment is not safe to share.
///
/// # Errors
///
/// When the file cannot be read, a line is malformed or a name is there twice; nothing is set then.
pub fn load_dotenv(path: &Path) -> Result<(), DotenvError> {
    let content = match std::fs::read_to_string(path) {
        Ok(content) => content,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unreadable(path, &error)),
    };
    // Some editors put a byte order mark before the first name.
    let content = content.strip_prefix('\u{feff}').unwrap_or(&content);
    check(path, content)?;
    dotenvy::from_read(content.as_bytes()).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &dyn std::fmt::Display) -> DotenvError {
    DotenvError::Unreadable {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

fn check(path: &Path, content: &str) -> Result<(), DotenvError> {
    let malformed = |text: &str| DotenvError::Malformed {
        path: path.display().to_string(),
        place: place(content, text),
    };
    if let Some(line) = content.lines().find(|line| line.contains('\0')) {
        // The environment cannot hold a NUL, and dotenvy would panic.
        return Err(malformed(line));
    }
    let mut names = HashSet::new();
    for pair in dotenvy::from_read_iter(content.as_bytes()) {
        match pair {
            Ok((name, _)) if names.contains(&name) => {
                let path = path.display().to_string();
                return Err(DotenvError::Twice { path, name });
            }
            Ok((name, _)) => _ = names.insert(name),
            Err(dotenvy::Error::LineParse(line, _)) => return Err(malformed(line.lines().next().unwrap_or_default())),
            Err(error) => return Err(unreadable(path, &error)),
        }
    }
    Ok(())
}

/// Where the line is that holds `text`, and the name in it, but nothing after that: dotenvy reports the value.
fn place(content: &str, text: &str) -> String {
    let Some((index, line)) = content.lines().enumerate().find(|(_, line)| line.contains(text.trim())) else {
        return "a line".to_owned();
    };
    let is_name_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    let name = line
        .split_once('=')
        .map(|(name, _)| name.trim())
        .filter(|name| name.chars().all(is_name_part));
    format!("line {} ({})", index + 1, name.unwrap_or("without a name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(content: &str) -> String {
        check(Path::new(".env"), content).unwrap_err().to_string()
    }

    #[test]
    fn comments_quotes_and_empty_values_are_fine() {
        assert!(check(Path::new(".env"), "# a\n\nA=1\nB=\"two words\"\nexport C='x$y'\nD=\n").is_ok());
    }

    #[test]
    fn a_malformed_line_is_named_without_its_value() {
        let text = complaint("A=1\nMQTT_URL=mqtt://u:secret word\n");
        assert!(
            text.contains("line 2") && text.contains("MQTT_URL") && !text.contains("secret"),
            "{text}"
        );
        assert!(complaint("just words\n").contains("line 1"));
    }

    #[test]
    fn a_nul_is_refused() {
        assert!(complaint("A=1\nB=x\0y").contains("line 2"));
    }

    #[test]
    fn a_missing_file_is_fine() {
        assert!(load_dotenv(Path::new("no/such/folder/.env")).is_ok());
    }

    #[test]
    fn a_folder_in_its_place_is_not() {
        assert!(load_dotenv(Path::new(".")).is_err());
    }
}
