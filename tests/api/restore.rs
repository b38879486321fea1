//! `sensorcast backup` and `sensorcast restore`, as an operator uses them.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::harness::{Event, Mirror, Process, Settings, Subscriber, Version, binary, eventually, free_port, link};

fn run(folder: &Path, arguments: &[&str]) -> Output {
    binary(folder).args(arguments).output().expect("the binary")
}

#[track_caller]
fn complaint(output: &Output) -> String {
    let line = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{line}");
    assert_eq!(line.matches('\n').count(), 1, "one line: {line}");
    line
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

async fn epoch_of(process: &Process) -> String {
    process.get("/").await.json()["epoch"].as_str().unwrap().to_owned()
}

async fn stop(mut process: Process) {
    process.signal("TERM");
    assert_eq!(process.exit().await.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_has_the_sensors_of_the_backup_and_another_life() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: None,
    };
    // A broker at one address, because it is in the links.
    let broker = free_port();
    let bind = format!("127.0.0.1:{broker}");
    let variables = [("MQTT_BIND", bind.as_str())];
    let mut process = Process::start_with(&settings, &variables).await;
    for number in 0..20 {
        process.create(&json!({"name": format!("s{number}")})).await;
    }
    let kept = process.all_pages(100).await;
    let old_epoch = epoch_of(&process).await;
    succeeds(&run(folder.path(), &["backup", "copy.db"]));
    assert!(complaint(&run(folder.path(), &["backup", "copy.db"])).contains("copy.db exists already"));
    assert!(complaint(&run(folder.path(), &["restore", "copy.db"])).contains("another process"));

    // What happens after the backup is lost, and its revisions are given out again.
    let overtaken = process.patch("/sensors/s0", &json!({"value": 1})).await.expect(200);
    process.create(&json!({"name": "lost"})).await;
    // Killed, so that a write-ahead log is left behind, which belongs to the store that is replaced.
    process.kill();
    assert!(folder.path().join("sensorcast.db-wal").exists());
    let said = succeeds(&run(folder.path(), &["restore", "copy.db"]));
    assert!(said.contains("revision 20"), "{said}");

    let process = Process::start_with(&settings, &variables).await;
    let epoch = epoch_of(&process).await;
    assert!(epoch != old_epoch && said.contains(&epoch), "{said}");
    assert_eq!(process.all_pages(100).await, kept);
    for revision in [0, 19, 20, 21, 22] {
        let gone = process
            .get(&format!("/events?after={old_epoch}.{revision}"))
            .await
            .expect(410);
        assert_eq!(gone.problem().document["epoch"], json!(epoch));
    }
    assert!(process.get("/events").await.expect(200).events().is_empty());
    process.get(&format!("/events?after={epoch}.20")).await.expect(200);
    process.get(&format!("/events?after={epoch}.19")).await.expect(410);
    let now = process.get("/sensors/s0").await.expect(200);
    let old_tag = format!("\"{old_epoch}.1\"");
    assert_eq!(now.etag(), format!("\"{epoch}.1\""));
    let body = json!({"value": 2});
    for stale in [overtaken.etag(), old_tag.clone()] {
        process
            .patch_if("/sensors/s0", ("if-match", &stale), &body)
            .await
            .expect(412);
    }
    process
        .request("GET", "/sensors/s0", &[("if-none-match", &old_tag)], "")
        .await
        .expect(200);

    // Nothing of the earlier life is published, and the next change counts on.
    assert_eq!(process.relay_lag().await, Some(0));
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], broker));
    let mut subscriber = Subscriber::start(Version::V5, address, "sensors/+").await;
    process
        .patch_if("/sensors/s0", ("if-match", &now.etag()), &body)
        .await
        .expect(200);
    let message = subscriber.next_event().await;
    assert_eq!(
        (message.epoch.as_str(), message.revision, message.previous),
        (epoch.as_str(), 21, Some(1))
    );
    let list = process.get("/sensors").await.json();
    let page = process.follow(&link(&list, "events").unwrap()).await.expect(200);
    assert!(page.events().is_empty());
    stop(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_made_while_changes_go_on_is_one_instant_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: None,
    };
    let process = Process::start(&settings).await;
    for number in 0..8 {
        process
            .put(&format!("/sensors/s{number}"), &json!({}))
            .await
            .expect(201);
    }
    let writers = (0..8).map(|writer| {
        let http = (*process).clone();
        tokio::spawn(async move {
            for number in 0..50 {
                let body = json!({"value": number});
                http.patch(&format!("/sensors/s{writer}"), &body).await.expect(200);
            }
        })
    });
    let writers: Vec<_> = writers.collect();
    eventually("there are changes", || async { process.store_revision().await > 30 }).await;
    let file = folder.path().join("copy.db");
    let output = tokio::task::spawn_blocking({
        let folder = folder.path().to_owned();
        move || run(&folder, &["backup", "copy.db"])
    });
    succeeds(&output.await.unwrap());
    for writer in writers {
        writer.await.unwrap();
    }
    let events = process.get("/events?limit=1000").await.expect(200).events();
    stop(process).await;
    assert!(file.is_file());
    for entry in folder.path().read_dir().unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(!name.ends_with(".partial"), "{name} is left over");
    }

    succeeds(&run(folder.path(), &["restore", "copy.db"]));
    let process = Process::start(&settings).await;
    let revision = process.store_revision().await;
    assert!(revision > 30, "{revision}");
    let mut mirror = Mirror::default();
    for event in events.iter().map(|event| Event::read(event.as_bytes())) {
        if event.revision <= revision {
            mirror.apply(&event);
        }
    }
    mirror.assert_equals(&process.all_pages(3).await);
    stop(process).await;
}

#[test]
fn what_cannot_be_restored_is_one_line_and_leaves_the_store_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    assert!(complaint(&run(folder.path(), &["backup", "copy.db"])).contains("there is no database"));
    assert!(!path("copy.db").exists());
    succeeds(&run(folder.path(), &["migrate"]));
    let before = std::fs::read(path("sensorcast.db")).unwrap();
    succeeds(&run(folder.path(), &["backup", "copy.db"]));
    std::fs::write(path("text.db"), "this is no database at all".repeat(100)).unwrap();
    std::fs::write(path("empty.db"), "").unwrap();
    let whole = std::fs::read(path("copy.db")).unwrap();
    std::fs::write(path("half.db"), &whole[..whole.len() / 2]).unwrap();
    let mut torn = whole.clone();
    torn[4096..8192].fill(0x55);
    std::fs::write(path("torn.db"), &torn).unwrap();
    for (name, expected) in [
        ("nothing.db", "there is no database"),
        ("text.db", "not a database"),
        ("empty.db", "is not a sensorcast database"),
        ("half.db", "half.db"),
        ("torn.db", "torn.db"),
    ] {
        let line = complaint(&run(folder.path(), &["restore", name]));
        assert!(line.contains(expected), "{name}: {line}");
    }
    assert_eq!(std::fs::read(path("sensorcast.db")).unwrap(), before);
    assert!(!path("sensorcast.db.restoring").exists());
    assert!(succeeds(&run(folder.path(), &["restore", "copy.db"])).contains("revision 0"));
    std::fs::write(path("file"), "").unwrap();
    assert!(complaint(&run(folder.path(), &["backup", "file/copy.db"])).contains("cannot write"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_damaged_can_be_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: None,
    };
    let process = Process::start(&settings).await;
    process.create(&json!({"name": "s1"})).await;
    succeeds(&run(folder.path(), &["backup", "copy.db"]));
    stop(process).await;
    for name in ["sensorcast.db", "sensorcast.db-wal", "sensorcast.db-shm"] {
        std::fs::write(folder.path().join(name), "noise ".repeat(10_000)).unwrap();
    }
    let said = succeeds(&run(folder.path(), &["restore", "copy.db"]));
    assert!(said.contains("revision 1"), "{said}");
    let process = Process::start(&settings).await;
    process.get("/sensors/s1").await.expect(200);
    stop(process).await;
}

/// Whoever restores need not be the user that the service runs as.
#[test]
fn a_restored_store_belongs_to_whom_it_belonged() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("sensorcast.db");
    succeeds(&run(folder.path(), &["migrate"]));
    succeeds(&run(folder.path(), &["backup", "copy.db"]));
    std::fs::set_permissions(&database, Permissions::from_mode(0o600)).unwrap();
    // Where this user may give files away.
    let owner = std::os::unix::fs::chown(&database, Some(12_345), Some(12_345)).map(|()| 12_345);
    succeeds(&run(folder.path(), &["restore", "copy.db"]));
    let restored = std::fs::metadata(&database).unwrap();
    assert_eq!(restored.mode() & 0o777, 0o600);
    succeeds(&run(folder.path(), &["backup", "private.db"]));
    let copied = std::fs::metadata(folder.path().join("private.db")).unwrap();
    assert_eq!(copied.mode() & 0o777, 0o600);
    assert!(owner.is_err() || owner.is_ok_and(|owner| restored.uid() == owner));
}

#[test]
fn a_backup_that_cannot_be_written_names_where_it_was_to_go_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(&run(folder.path(), &["migrate"]));
    let line = complaint(&run(folder.path(), &["backup", "nowhere/copy.db"]));
    assert!(
        line.ends_with("no backup was made: there is no folder nowhere\n"),
        "{line}"
    );
    let line = complaint(&run(folder.path(), &["restore", "."]));
    assert!(line.ends_with("nothing was restored: . is no file\n"), "{line}");
    let names = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    assert!(
        names
            .into_iter()
            .all(|name| !name.to_string_lossy().contains("partial"))
    );
}

#[test]
fn a_link_to_the_store_stays_a_link_when_it_is_restored() {
    let folder = tempfile::tempdir().unwrap();
    let (link, store) = (folder.path().join("sensorcast.db"), folder.path().join("disk/store.db"));
    std::fs::create_dir(folder.path().join("disk")).unwrap();
    std::os::unix::fs::symlink("disk/store.db", &link).unwrap();
    succeeds(&run(folder.path(), &["migrate"]));
    succeeds(&run(folder.path(), &["backup", "copy.db"]));
    let replaced = std::fs::metadata(&store).unwrap().ino();
    succeeds(&run(folder.path(), &["restore", "copy.db"]));
    assert!(link.is_symlink());
    assert_ne!(std::fs::metadata(&store).unwrap().ino(), replaced);
    assert!(!folder.path().join("disk/store.db.restoring").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_no_backup_of_itself_by_whatever_name() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        // Nobody is there: what is written is not published yet.
        mqtt_url: Some(format!("mqtt://127.0.0.1:{}", free_port())),
    };
    let process = Process::start(&settings).await;
    process.create(&json!({"name": "s1"})).await;
    stop(process).await;
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("inner")).unwrap();
    std::os::unix::fs::symlink("sensorcast.db", path("symbolic.db")).unwrap();
    std::fs::hard_link(path("sensorcast.db"), path("hard.db")).unwrap();
    for name in ["sensorcast.db", "inner/../sensorcast.db", "symbolic.db", "hard.db"] {
        let line = complaint(&run(folder.path(), &["restore", name]));
        assert!(line.contains(&format!("{name} is the store itself")), "{line}");
    }
    let process = Process::start(&settings).await;
    assert_eq!(process.get("/events").await.expect(200).events().len(), 1);
    stop(process).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_tells_what_it_restored_where_and_in_the_place_of_what() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings {
        folder: folder.path().to_owned(),
        mqtt_url: None,
    };
    let process = Process::start(&settings).await;
    process.create(&json!({"name": "s1"})).await;
    let said = succeeds(&run(folder.path(), &["backup", "copy.db"]));
    assert!(
        said.contains("copy.db, a copy of ") && said.ends_with("sensorcast.db at revision 1\n"),
        "{said}"
    );
    process.create(&json!({"name": "s2"})).await;
    let former = epoch_of(&process).await;
    stop(process).await;
    // Wherever it is run.
    let said = succeeds(&run(folder.path(), &["restore", "copy.db"]));
    let database = folder.path().canonicalize().unwrap().join("sensorcast.db");
    let begin = format!("restored {} at revision 1, epoch ", database.display());
    let end = format!(" (it replaced revision 2, epoch {former})\n");
    assert!(said.starts_with(&begin) && said.ends_with(&end), "{said}");

    let restore_into = |name: &str| {
        let mut command = binary(folder.path());
        let url = format!("sqlite://{name}");
        let output = command.args(["restore", "copy.db"]).env("DATABASE_URL", url).output();
        succeeds(&output.unwrap())
    };
    let said = restore_into("new/s.db");
    let database = folder.path().canonicalize().unwrap().join("new/s.db");
    assert!(
        said.contains(&database.display().to_string()) && said.contains("(there was none)"),
        "{said}"
    );
    std::fs::write(folder.path().join("noise.db"), "noise ".repeat(10_000)).unwrap();
    let said = restore_into("noise.db");
    assert!(said.contains("(it replaced one that cannot be read)"), "{said}");
}
