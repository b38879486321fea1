//! The binary as an operator meets it: its settings, its messages, its exit codes.
#![expect(clippy::unwrap_used, reason = "a test that cannot run the binary has failed")]

#[path = "cli/help.rs"]
mod help;
#[path = "cli/watch.rs"]
mod watch;

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// Nobody listens there, and the system gives that port to none of the tests that run at the same time.
const NOBODY: &str = "127.0.0.1:1";

/// The binary in an empty folder and an empty environment.
struct Run {
    folder: TempDir,
    command: Command,
}

impl Run {
    fn new(arguments: &[&str]) -> Run {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sensorcast"));
        command
            .args(arguments)
            .current_dir(folder.path())
            .env_clear()
            .stdin(Stdio::null());
        Run { folder, command }
    }

    fn env(mut self, variable: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(variable, value);
        self
    }

    fn dotenv(self, content: &str) -> Run {
        fs::write(self.folder.path().join(".env"), content).unwrap();
        self
    }

    fn output(mut self) -> Output {
        self.command.output().unwrap()
    }

    /// The one line on standard error of a run that ends with `exit_code`.
    fn complaint(self, exit_code: i32) -> String {
        let output = self.output();
        let line = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(exit_code), "{line}");
        assert_eq!(line.matches('\n').count(), 1, "one line: {line:?}");
        assert!(output.stdout.is_empty());
        line
    }

    fn text(self) -> String {
        let output = self.output();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Each variable, a wrong value, and a word of what is allowed.
const WRONG: &[(&str, &str, &str)] = &[
    ("HTTP_BIND", "localhost", "127.0.0.1:8000"),
    ("PUBLIC_URL", "ftp://example.com", "http or https"),
    ("REQUIRE_IF_MATCH", "maybe", "true, false, 1 or 0"),
    ("CORS_ORIGINS", "example.com", "https://dashboard.example.com"),
    ("DATABASE_URL", "postgres://h/db", "sqlite://"),
    ("EVENT_RETENTION_HOURS", "-1", "from 0 to"),
    ("EVENT_RETENTION_MIN", "1e6", "from 0 to"),
    ("MQTT_URL", "http://h:1883", "mqtts://"),
    ("MQTT_PUBLIC_URL", "http://h:1883", "mqtts"),
    ("MQTT_BIND", "127.0.0.1:65536", "port"),
    ("MQTT_TOPIC_PREFIX", "plant/+/", "levels"),
    ("MQTT_QOS", "3", "0, 1 or 2"),
    ("MQTT_RETAIN_STATE", "TRUE", "true, false, 1 or 0"),
    ("LOG_FORMAT", "xml", "text or json"),
    ("RUST_LOG", "sensorcast=loud", "debug"),
    ("RUST_LOG", "warning", "warn"),
];

fn assert_names(line: &str, variable: &str, value: &str, allowed: &str) {
    for part in [variable, &format!("{value:?}"), allowed] {
        assert!(line.contains(part), "{part} is missing in {line:?}");
    }
}

fn flag(variable: &str) -> String {
    format!("--{}", variable.to_lowercase().replace('_', "-"))
}

#[test]
fn a_wrong_variable_is_one_line_that_names_it_the_value_and_what_is_allowed() {
    for (variable, value, allowed) in WRONG {
        assert_names(
            &Run::new(&[]).env(variable, value).complaint(2),
            variable,
            value,
            allowed,
        );
    }
}

#[test]
fn a_wrong_flag_is_the_same_line() {
    for (variable, value, allowed) in WRONG {
        let argument = format!("{}={value}", flag(variable));
        assert_names(&Run::new(&["serve", &argument]).complaint(2), variable, value, allowed);
    }
}

#[test]
fn a_wrong_line_of_dotenv_is_the_same_line() {
    for (variable, value, allowed) in WRONG {
        let run = Run::new(&[]).dotenv(&format!("{variable}='{value}'\n"));
        assert_names(&run.complaint(2), variable, value, allowed);
    }
}

#[test]
fn a_flag_wins_over_the_environment_and_that_over_dotenv() {
    let wrong = "HTTP_BIND=wrong-in-dotenv\n";
    assert!(Run::new(&[]).dotenv(wrong).complaint(2).contains("wrong-in-dotenv"));
    assert!(
        Run::new(&[])
            .dotenv(wrong)
            .env("HTTP_BIND", "wrong-env")
            .complaint(2)
            .contains("wrong-env")
    );
    let all = Run::new(&["--http-bind", "wrong-flag"])
        .dotenv(wrong)
        .env("HTTP_BIND", "wrong-env");
    assert!(all.complaint(2).contains("wrong-flag"));
}

#[test]
fn a_password_is_never_printed() {
    for value in [
        "mqtt://user:secret@h/path",
        "mqtt://user:sec/secret@h",
        "user:secret@",
        "mqtt://user:secret@",
    ] {
        let line = Run::new(&[]).env("MQTT_URL", value).complaint(2);
        assert!(line.contains("MQTT_URL") && !line.contains("secret"), "{line}");
    }
    let help = Run::new(&["--help"]).env("MQTT_URL", "mqtt://user:secret@h").text();
    assert!(!help.contains("secret"), "{help}");
}

#[test]
fn a_malformed_dotenv_is_one_line_without_the_value() {
    let line = Run::new(&[])
        .dotenv("RUST_LOG=info\nMQTT_URL=mqtt://user:secret word@h\n")
        .complaint(2);
    assert!(
        line.contains(".env, line 2 (MQTT_URL)") && !line.contains("secret"),
        "{line}"
    );
    assert!(
        Run::new(&[])
            .dotenv("HTTP_BIND\n")
            .complaint(2)
            .contains(".env, line 1")
    );
    assert!(
        Run::new(&[])
            .dotenv("HTTP_BIND=a\0b\n")
            .complaint(2)
            .contains(".env, line 1")
    );
}

#[test]
fn a_byte_order_mark_of_dotenv_is_no_part_of_a_name() {
    let run = Run::new(&[]).dotenv("\u{feff}HTTP_BIND=wrong\n");
    assert_names(&run.complaint(2), "HTTP_BIND", "wrong", "127.0.0.1:8000");
    let commented = Run::new(&["openapi"]).dotenv("\u{feff}# mine\nPUBLIC_URL=http://mine\n");
    assert!(commented.text().contains("url: http://mine\n"));
}

#[test]
fn a_name_that_dotenv_has_twice_is_one_line_without_the_values() {
    for content in [
        "MQTT_URL=mqtt://a:secret@h\nMQTT_QOS=1\nMQTT_URL=mqtt://b:secret@h\n",
        "export MQTT_URL='mqtt://a:secret@h'\nMQTT_URL=\n",
    ] {
        let line = Run::new(&["health"]).dotenv(content).complaint(2);
        assert!(
            line.contains(".env has MQTT_URL twice") && !line.contains("secret"),
            "{line}"
        );
    }
}

#[test]
fn a_value_of_several_lines_or_strange_bytes_is_still_one_line() {
    assert!(
        Run::new(&[])
            .env("HTTP_BIND", "a\nb")
            .complaint(2)
            .contains("HTTP_BIND")
    );
    assert!(
        Run::new(&[])
            .env("HTTP_BIND", OsStr::from_bytes(b"\xff"))
            .complaint(2)
            .contains("HTTP_BIND")
    );
    assert!(Run::new(&[]).env("HTTP_BIND", "x".repeat(10_000)).complaint(2).len() < 600);
}

#[test]
fn an_unknown_argument_is_one_line() {
    assert!(Run::new(&["--bogus"]).complaint(2).contains("--bogus"));
    assert!(Run::new(&["bogus"]).complaint(2).contains("bogus"));
    assert!(Run::new(&["--http-bind"]).complaint(2).contains("HTTP_BIND"));
}

#[test]
fn a_missing_argument_is_named_with_its_command() {
    for command in ["backup", "restore"] {
        let line = Run::new(&[command]).complaint(2);
        assert!(line.contains("<FILE>"), "{line}");
        assert!(line.contains(&format!("(see sensorcast {command} --help)")), "{line}");
    }
    let line = Run::new(&["--log-format", "json", "restore", "a", "b"]).complaint(2);
    assert!(
        line.contains("'b'") && line.contains("sensorcast restore --help"),
        "{line}"
    );
    assert!(Run::new(&["bogus"]).complaint(2).contains("(see sensorcast --help)"));
}

#[test]
fn a_value_after_a_flag_that_stands_alone_is_told_to_need_an_equals_sign() {
    for arguments in [
        &["--require-if-match", "true"][..],
        &["serve", "--mqtt-retain-state", "false"],
        &["--require-if-match", "1", "serve"],
    ] {
        let line = Run::new(arguments).complaint(2);
        let at = arguments.iter().position(|word| word.starts_with("--")).unwrap();
        assert!(line.contains(&arguments[at..at + 2].join("=")), "{line}");
    }
}

#[test]
fn health_of_nobody_is_one_line() {
    assert!(
        Run::new(&["health"])
            .env("HTTP_BIND", NOBODY)
            .complaint(1)
            .contains(NOBODY)
    );
    assert!(
        Run::new(&["health"])
            .env("HTTP_BIND", "127.0.0.1:0")
            .complaint(1)
            .contains("HTTP_BIND")
    );
}

#[test]
fn the_documents_are_printed_as_yaml_and_as_json_and_the_committed_ones_are_the_same() {
    for (command, version) in [("openapi", "3.1"), ("asyncapi", "3.0")] {
        let yaml = Run::new(&[command]).text();
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("openapi/{command}.yaml"));
        let committed = fs::read_to_string(committed).unwrap();
        assert!(
            yaml == committed,
            "openapi/{command}.yaml is stale; run make openapi and commit it"
        );
        assert!(yaml.starts_with(&format!("{command}: {version}")));
        let json: serde_json::Value = serde_json::from_str(&Run::new(&[command, "--json"]).text()).unwrap();
        assert!(json[command].as_str().unwrap().starts_with(version));
    }
}

#[test]
fn migrate_creates_the_database_and_may_be_repeated() {
    let run = Run::new(&["migrate"]).env("DATABASE_URL", "sqlite://new/folder/s.db");
    let file = run.folder.path().join("new/folder/s.db");
    let mut run = run;
    for _ in 0..2 {
        let output = run.command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(file.is_file());
    }
}

#[test]
fn a_port_in_use_is_one_line_and_exit_code_1() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (variable, other) in [("HTTP_BIND", "MQTT_BIND"), ("MQTT_BIND", "HTTP_BIND")] {
        let mut run = Run::new(&[]).env(variable, &address).env(other, "127.0.0.1:0");
        let output = run.command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(said.contains(variable) && said.contains(&address), "{said}");
        let left: Vec<_> = fs::read_dir(run.folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn an_address_of_another_machine_is_one_line_that_asks_for_another() {
    // RFC 5737 keeps it for documents.
    for (variable, other) in [("HTTP_BIND", "MQTT_BIND"), ("MQTT_BIND", "HTTP_BIND")] {
        let run = Run::new(&["--rust-log=off"]).env(variable, "192.0.2.1:18830");
        let line = run.env(other, "127.0.0.1:0").complaint(1);
        let what = format!("{variable}: cannot listen on 192.0.2.1:18830; choose another address or port: ");
        assert!(line.contains(&what), "{line}");
        assert_eq!(line.matches("os error").count(), 1, "{line}");
    }
}

#[test]
fn two_servers_at_one_address_are_a_wrong_setting() {
    let run = |command: &str, http: &str, mqtt: &str| {
        let run = Run::new(&[command]).env("HTTP_BIND", http);
        run.env("MQTT_BIND", mqtt)
    };
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut same = run("serve", &address, &address);
    let output = same.command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("HTTP_BIND and MQTT_BIND are the same"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(fs::read_dir(same.folder.path()).unwrap().count(), 0);
    // Where nothing listens for MQTT, where the system chooses, and where the addresses are two, it is none.
    for run in [
        run("openapi", &address, &address).env("MQTT_URL", "mqtt://h"),
        run("openapi", "127.0.0.1:0", "127.0.0.1:0"),
        run("openapi", "127.0.0.1:8801", "127.0.0.2:8801"),
    ] {
        run.text();
    }
}

#[test]
fn a_database_that_cannot_be_written_is_one_line_and_exit_code_1() {
    let run = Run::new(&["--rust-log=off"])
        .env("HTTP_BIND", "127.0.0.1:0")
        .env("MQTT_BIND", "127.0.0.1:0");
    fs::write(run.folder.path().join("file"), "").unwrap();
    let line = run.env("DATABASE_URL", "sqlite://file/s.db").complaint(1);
    assert!(line.contains("DATABASE_URL: cannot create or open file: "), "{line}");
    assert_eq!(line.matches("os error").count(), 1, "{line}");
    let run = Run::new(&["--rust-log=off"])
        .env("HTTP_BIND", "127.0.0.1:0")
        .env("MQTT_BIND", "127.0.0.1:0");
    std::os::unix::fs::symlink("nowhere", run.folder.path().join("data")).unwrap();
    let line = run.complaint(1);
    assert!(line.contains("DATABASE_URL: cannot create or open data: "), "{line}");
}

#[test]
fn links_lead_to_where_it_listens_unless_told_otherwise() {
    for (variables, base) in [
        (vec![], "http://localhost:8000"),
        (vec![("HTTP_BIND", "127.0.0.1:8801")], "http://localhost:8801"),
        (vec![("HTTP_BIND", "0.0.0.0:0")], "http://localhost:8000"),
        (vec![("HTTP_BIND", "192.0.2.7:80")], "http://192.0.2.7"),
        (vec![("HTTP_BIND", "[2001:db8::7]:8801")], "http://[2001:db8::7]:8801"),
        (
            vec![
                ("HTTP_BIND", "127.0.0.1:8801"),
                ("PUBLIC_URL", "https://example.com/api/"),
            ],
            "https://example.com/api",
        ),
    ] {
        let run = variables
            .iter()
            .fold(Run::new(&["openapi"]), |run, (name, value)| run.env(name, value));
        let document = run.text();
        assert!(
            document.contains(&format!("url: {base}\n")),
            "{base} in {document:.600}"
        );
    }
}
