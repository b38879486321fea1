//! What is in the way of the files of the database, and what a start finds in them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::geteuid;
use serde_json::json;
use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::harness::{Process, binary, eventually};
use crate::process::{assert_refuses, run, settings_in, sqlite};

const NOBODY: u32 = 65_534;

/// The binary as a user who is not root; `None` where root cannot become one.
fn unprivileged(folder: &Path) -> Option<Command> {
    let command = binary(folder);
    if !geteuid().is_root() {
        return Some(command);
    }
    let as_nobody = || {
        let mut other = Command::new("setpriv");
        let user = NOBODY.to_string();
        other.args(["--reuid", &user, "--regid", &user, "--clear-groups"]);
        other.arg(command.get_program()).current_dir(folder);
        other.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        other
    };
    let works = as_nobody().arg("--version").output();
    let works = works.is_ok_and(|output| output.status.success());
    if !works {
        println!("SKIPPED: what another user may not do was not tried, because there is none who can run the binary");
    }
    works.then(as_nobody)
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// What a command prints that goes well.
pub fn printed(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_this_user_may_not_write_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("sensorcast.db");
    printed(binary(folder.path()).arg("migrate"));
    allow(folder.path(), 0o777);
    allow(&folder.path().join("sensorcast.db.lock"), 0o666);
    allow(&database, 0o444);
    let Some(mut command) = unprivileged(folder.path()) else {
        return;
    };
    let what = [
        database.to_str().unwrap(),
        "cannot be written by this user",
        "ermission denied",
    ];
    assert_refuses(&run(&mut command), 1, &what);
    assert_refuses(&run(command.arg("migrate")), 1, &what);
    allow(&database, 0o666);
    allow(folder.path(), 0o555);
    let what = format!("{} cannot be written by this user", folder.path().display());
    assert_refuses(&run(&mut unprivileged(folder.path()).unwrap()), 1, &[&what]);
    allow(folder.path(), 0o777);
}

#[test]
fn a_folder_that_cannot_be_entered_is_not_a_database_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let closed = folder.path().join("closed");
    fs::create_dir(&closed).unwrap();
    allow(folder.path(), 0o777);
    allow(&closed, 0o000);
    let Some(mut command) = unprivileged(folder.path()) else {
        return;
    };
    command.env("DATABASE_URL", format!("sqlite://{}/s.db", closed.display()));
    let output = run(command.args(["backup", "copy.db"]));
    assert_refuses(&output, 1, &["cannot read", "closed/s.db", "ermission denied"]);
    allow(&closed, 0o777);
}

#[test]
fn what_root_restores_belongs_to_the_owner_of_the_folder() {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files away");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    printed(binary(folder.path()).arg("migrate"));
    printed(binary(folder.path()).args(["backup", "copy.db"]));
    let home = folder.path().join("home");
    fs::create_dir(&home).unwrap();
    chown(&home, Some(NOBODY), Some(NOBODY)).unwrap();
    let url = format!("sqlite://{}/s.db", home.display());
    printed(
        binary(folder.path())
            .args(["restore", "copy.db"])
            .env("DATABASE_URL", url),
    );
    for name in ["s.db", "s.db.lock"] {
        let found = fs::metadata(home.join(name)).unwrap();
        assert_eq!((found.uid(), found.gid()), (NOBODY, NOBODY), "{name}");
    }
}

/// A database as the first migrations left it.
async fn make_old_database(folder: &Path) {
    let steps = tempfile::tempdir().unwrap();
    for step in ["0001_sensors_and_their_log.sql", "0002_log_by_sensor_and_name.sql"] {
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(step);
        fs::copy(from, steps.path().join(step)).unwrap();
    }
    let options = SqliteConnectOptions::new().filename(folder.join("sensorcast.db"));
    let mut connection = options.create_if_missing(true).connect().await.unwrap();
    Migrator::new(steps.path().to_owned())
        .await
        .unwrap()
        .run(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_tells_that_it_made_a_database_or_brought_one_up_to_date() {
    let is_new = "there was no database: a new one is made";
    let is_old = "the schema was brought up to date from=2 to=";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("sensorcast.db"), "").unwrap();
    for word in [Some(is_new), None] {
        let mut service = Process::start(&settings_in(folder.path())).await;
        for line in [is_new, is_old] {
            assert_eq!(
                service.output().contains(line),
                word == Some(line),
                "{}",
                service.output()
            );
        }
        service.signal("TERM");
        service.exit().await;
    }
    let folder = tempfile::tempdir().unwrap();
    make_old_database(folder.path()).await;
    let service = Process::start(&settings_in(folder.path())).await;
    assert!(service.output().contains(is_old), "{}", service.output());
}

#[tokio::test(flavor = "multi_thread")]
async fn migrate_says_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let migrate = || printed(binary(folder.path()).arg("migrate"));
    let path = folder.path().canonicalize().unwrap().join("sensorcast.db");
    assert_eq!(migrate(), format!("made {}\n", path.display()));
    let said = migrate();
    assert!(
        said.starts_with(&format!("{} was up to date, at schema version ", path.display())),
        "{said}"
    );
    let folder = tempfile::tempdir().unwrap();
    make_old_database(folder.path()).await;
    let said = printed(binary(folder.path()).arg("migrate"));
    assert!(
        said.contains("sensorcast.db up to date, from schema version 2 to "),
        "{said}"
    );
}

#[test]
fn what_is_no_file_is_refused_before_anything_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    fs::create_dir(&data).unwrap();
    let with = |path: &str| run(binary(folder.path()).env("DATABASE_URL", format!("sqlite://{path}")));
    let output = with(data.to_str().unwrap());
    assert_refuses(&output, 1, &["sensorcast: DATABASE_URL: ", "data is a folder"]);
    assert_refuses(
        &with("/dev/null"),
        1,
        &["sensorcast: DATABASE_URL: /dev/null is no regular file"],
    );
    assert!(!folder.path().join("data.lock").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_something_else_stays_as_it_is_and_nothing_is_left_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let copies = tempfile::tempdir().unwrap();
    printed(binary(copies.path()).arg("migrate"));
    let copy = copies.path().join("sensorcast.db");
    let file = |name| folder.path().join(name);
    sqlite(&file("foreign.db"), "CREATE TABLE theirs (id INTEGER)").await;
    sqlite(
        &file("logged.db"),
        "PRAGMA journal_mode = WAL; CREATE TABLE theirs (id INTEGER)",
    )
    .await;
    fs::write(file("none.db"), "no database, whatever its name says").unwrap();
    let restore = ["restore", copy.to_str().unwrap()];
    let all = [&["serve"][..], &["migrate"], &["backup", "copy.db"], &restore];
    // What cannot be read is what a restore is for.
    let starts = &all[..2];
    let foreign = "is not a sensorcast database";
    for (name, reason, commands) in [
        ("foreign.db", foreign, &all[..]),
        ("logged.db", foreign, &all),
        ("none.db", "(code: 26) file is not a database", starts),
    ] {
        let before = fs::read(file(name)).unwrap();
        let url = format!("sqlite://{}", file(name).display());
        for arguments in commands {
            let output = run(binary(folder.path()).args(*arguments).env("DATABASE_URL", &url));
            assert_refuses(&output, 1, &[name, reason]);
            let names = fs::read_dir(folder.path()).unwrap();
            let mut names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["foreign.db", "logged.db", "none.db"], "{arguments:?}");
            assert!(fs::read(file(name)).unwrap() == before, "{name} {arguments:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_that_knows_the_file_by_another_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let service = Process::start(&settings_in(folder.path())).await;
    service.create(&json!({"name": "s1"})).await;
    printed(binary(folder.path()).args(["backup", "copy.db"]));
    fs::create_dir(folder.path().join("other")).unwrap();
    let alias = folder.path().join("other/alias.db");
    fs::hard_link(folder.path().join("sensorcast.db"), &alias).unwrap();
    let url = format!("sqlite://{}", alias.display());
    for arguments in [&["serve"][..], &["migrate"], &["restore", "copy.db"]] {
        let output = run(binary(folder.path()).args(arguments).env("DATABASE_URL", &url));
        assert_refuses(&output, 1, &["another process", "other/alias.db"]);
    }
    service.create(&json!({"name": "s2"})).await;
    // Neither a lock of another process nor the end of one has taken SQLite's own locks away.
    printed(binary(folder.path()).args(["backup", "again.db"]));
    let mut service = service;
    service.kill();
    let service = Process::start(&settings_in(folder.path())).await;
    assert_eq!(service.store_revision().await, 2);
}

#[test]
fn a_file_system_without_links_takes_a_backup_and_keeps_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    printed(binary(folder.path()).arg("migrate"));
    let backup = || {
        let command = binary(folder.path());
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qqq", "-o", "trace", "-e", "inject=linkat:error=EPERM"]);
        traced
            .arg(command.get_program())
            .args(["backup", "copy.db"])
            .current_dir(folder.path());
        traced.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        run(&mut traced)
    };
    assert!(backup().status.success());
    assert!(
        fs::read_to_string(folder.path().join("trace"))
            .unwrap()
            .contains("INJECTED")
    );
    assert!(fs::metadata(folder.path().join("copy.db")).unwrap().len() > 0);
    assert_refuses(&backup(), 1, &["copy.db exists already"]);
    let names = fs::read_dir(folder.path()).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.all(|name| !name.contains("partial")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_or_a_restore_that_is_interrupted_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    printed(binary(folder.path()).arg("migrate"));
    printed(binary(folder.path()).args(["backup", "copy.db"]));
    let names = || {
        let names = fs::read_dir(folder.path()).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    let is_under_way = |name: &String| name.contains(".partial") || name.contains(".restoring");
    for (arguments, signal) in [(["backup", "second.db"], "INT"), (["restore", "copy.db"], "TERM")] {
        let command = binary(folder.path());
        let mut slow = Command::new("strace");
        // A tenth of a second for each page. With `-D` the child is the binary.
        slow.args([
            "-D",
            "-f",
            "-qqq",
            "-o",
            "trace",
            "-e",
            "inject=pwrite64:delay_enter=100000",
        ]);
        slow.arg(command.get_program())
            .args(arguments)
            .current_dir(folder.path());
        slow.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = slow.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        eventually("the copy is under way", || {
            assert!(child.try_wait().unwrap().is_none(), "{arguments:?} is over");
            // SQLite has it open, and writes.
            let is_filled = |name: &String| fs::metadata(folder.path().join(name)).is_ok_and(|found| found.len() > 0);
            let is_there = names().iter().any(|name| is_under_way(name) && is_filled(name));
            async move { is_there }
        })
        .await;
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let output = child.wait_with_output().unwrap();
        // strace may have something to say as well.
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(1) && said.contains(": interrupted"),
            "{output:?}"
        );
        assert!(!names().iter().any(is_under_way), "{:?}", names());
        assert!(!names().contains(&"second.db".to_owned()));
    }
    printed(binary(folder.path()).args(["restore", "copy.db"]));
}
