//! What `--help` tells, and that `.env.example` tells the same.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{NOBODY, Run, WRONG, assert_names, flag};

#[test]
fn version_and_help_are_printed_whatever_the_settings_are() {
    assert_eq!(
        Run::new(&["--version"]).env("HTTP_BIND", "x").text(),
        format!("sensorcast {}\n", env!("CARGO_PKG_VERSION"))
    );
    let help = Run::new(&["--help"]).env("HTTP_BIND", "x").text();
    for word in [
        "serve", "migrate", "openapi", "asyncapi", "health", "HTTP:", "Store:", "MQTT:", "Logs:",
    ] {
        assert!(help.contains(word), "{word} is missing in\n{help}");
    }
}

#[test]
fn the_help_is_as_wide_as_the_terminal() {
    for arguments in [&["--help"][..], &["backup", "--help"], &["watch", "--help"]] {
        for columns in [60, 80, 120] {
            let help = Run::new(arguments).env("COLUMNS", columns.to_string()).text();
            // Some words are longer.
            let too_long = |line: &&str| line.chars().count() > columns && line.trim().contains(' ');
            assert_eq!(help.lines().find(too_long), None, "{columns} {arguments:?}");
        }
    }
}

#[test]
fn the_help_of_a_subcommand_tells_of_the_settings_that_it_uses() {
    let help = Run::new(&["backup", "--help"]).text();
    let tells_of = |setting: &str| help.contains(setting);
    assert!(tells_of("--database-url") && !tells_of("--mqtt-qos"), "{help}");
    // The others are taken all the same, before it and behind it.
    for arguments in [
        &["--mqtt-qos=0", "openapi"][..],
        &["openapi", "--mqtt-qos=0", "--http-max-url-bytes=4096"],
    ] {
        assert!(
            Run::new(arguments).text().contains("without a guarantee"),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_subcommand_judges_the_settings_that_its_help_tells_of_and_no_others() {
    for arguments in [
        &["migrate"][..],
        &["backup", "nowhere/copy.db"],
        &["restore", "nothing.db"],
        &["openapi"],
        &["asyncapi"],
        &["health"],
    ] {
        let help = Run::new(&[arguments[0], "--help"]).text();
        for (variable, value, allowed) in WRONG {
            let flag = flag(variable);
            let wrong_flag = format!("{flag}={value}");
            let with_flag = [arguments, &[wrong_flag.as_str()]].concat();
            // Nobody is to be asked for health.
            let runs = [Run::new(arguments).env("HTTP_BIND", NOBODY), Run::new(&with_flag)];
            let [with_variable, with_flag] = runs;
            for run in [with_variable.env(variable, value), with_flag] {
                if help.contains(&flag) {
                    assert_names(&run.complaint(2), variable, value, allowed);
                } else {
                    let code = run.output().status.code();
                    assert!(matches!(code, Some(0 | 1)), "{arguments:?} {variable}: {code:?}");
                }
            }
        }
    }
}

#[test]
fn what_is_no_text_is_named_where_it_is_judged() {
    let no_text = OsStr::from_bytes(b"\xff");
    let line = Run::new(&["openapi"]).env("MQTT_QOS", no_text).complaint(2);
    assert_names(&line, "MQTT_QOS", "\u{fffd}", "UTF-8");
    assert!(
        Run::new(&["openapi"])
            .env("DATABASE_URL", no_text)
            .output()
            .status
            .success()
    );
}

#[test]
fn the_example_of_dotenv_has_every_setting_with_its_default_and_a_meaning() {
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example")).unwrap();
    // One line for each.
    let help = Run::new(&["--help"]).env("COLUMNS", "1000").text();
    assert_eq!(settings_of_example(&example), settings_of_help(&help));
}

#[test]
fn the_example_of_dotenv_is_valid() {
    let example = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(".env.example")).unwrap();
    // A flag that is wrong ends the run before it listens, and only after everything else was found right.
    let line = Run::new(&["--rust-log=a=b=c"]).dotenv(&example).complaint(2);
    assert!(line.contains("RUST_LOG"), "{line}");
}

/// `NAME=default` of each line, sorted; each must follow a comment.
fn settings_of_example(example: &str) -> Vec<String> {
    let lines: Vec<_> = example.lines().collect();
    let is_setting = |line: &&str| !line.starts_with('#') && !line.is_empty();
    for pair in lines.windows(2).filter(|pair| is_setting(&pair[1])) {
        assert!(pair[0].starts_with("# "), "{} has no meaning", pair[1]);
    }
    let mut settings: Vec<_> = lines
        .iter()
        .filter(|line| is_setting(line))
        .map(ToString::to_string)
        .collect();
    settings.sort();
    settings
}

/// `NAME=default` of each flag that is a variable too, sorted; a default that is not shown is empty.
fn settings_of_help(help: &str) -> Vec<String> {
    let between = |text: &str, start: &str, end: &str| {
        text.split_once(start)
            .and_then(|(_, rest)| rest.split_once(end))
            .map(|(found, _)| found.to_owned())
    };
    let mut settings: Vec<_> = help
        .lines()
        .filter(|line| line.contains("[env: "))
        .map(|line| {
            let name = between(line, "[env: ", "]").unwrap();
            format!(
                "{}={}",
                name.trim_end_matches('='),
                between(line, "[default: ", "]").unwrap_or_default()
            )
        })
        .collect();
    settings.sort();
    settings
}
