//! What a short-lived command says: documents on standard output, one line of complaint on standard error.

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

/// Prints a document, with one line feed at its end. A reader that has seen enough (`| head`) is no failure.
///
/// # Errors
///
/// When standard output cannot be written for another reason.
pub fn print(document: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout(), "{}", document.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("standard output cannot be written"),
        _ => Ok(()),
    }
}

/// Prints one line on standard error; a line feed within it becomes a space. When even that is closed, the exit code
/// remains.
pub fn complain(line: &str) {
    let _ = writeln!(io::stderr(), "sensorcast: {}", line.replace('\n', " "));
}
