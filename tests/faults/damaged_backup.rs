//! A database that is damaged on the disk: no copy of it is called a backup.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Output;

use serde_json::json;

use crate::harness::{Process, binary};
use crate::process::{assert_refuses, run, settings_in, sqlite};

const SENSORS: u32 = 200;
const PAGE_BYTES: u64 = 4096;

/// A store with some sensors, in the file `sensorcast.db` alone.
async fn make_store(folder: &Path) {
    let mut service = Process::start(&settings_in(folder)).await;
    for number in 0..SENSORS {
        let name = format!("s{number}");
        service.create(&json!({"name": name, "kind": "temperature"})).await;
    }
    service.signal("TERM");
    assert!(service.exit().await.success());
}

/// Takes an index away, changes what is in it, and puts it back. A copy by SQLite succeeds, and has the damage, too.
async fn damage_index(database: &Path) {
    let steps = "PRAGMA writable_schema = ON;
        CREATE TEMP TABLE kept AS SELECT * FROM sqlite_schema WHERE name = 'sensors_by_kind';
        DELETE FROM main.sqlite_schema WHERE name = 'sensors_by_kind';
        PRAGMA writable_schema = RESET;
        UPDATE sensors SET kind = 'other' WHERE name = 's7';
        PRAGMA writable_schema = ON;
        INSERT INTO main.sqlite_schema SELECT * FROM temp.kept;";
    sqlite(database, steps).await;
}

/// Overwrites the heads of all pages but the first, which tells whose database it is. No copy can be made.
fn damage_pages(database: &Path) {
    let file = fs::OpenOptions::new().write(true).open(database).unwrap();
    let pages = file.metadata().unwrap().len() / PAGE_BYTES;
    for page in 1..pages {
        file.write_all_at(&[0xff; 8], page * PAGE_BYTES).unwrap();
    }
}

/// Leaves half of it, as a copy does that was broken off.
fn cut(file: &Path) {
    let file = fs::OpenOptions::new().write(true).open(file).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
}

fn backup(folder: &Path) -> Output {
    run(binary(folder).args(["backup", "copy.db"]))
}

fn assert_no_copy(folder: &Path) {
    let names = fs::read_dir(folder).unwrap();
    let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(names.all(|name| !name.contains("copy.db")));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_copy_of_a_damaged_database_is_called_a_backup() {
    let folder = tempfile::tempdir().unwrap();
    make_store(folder.path()).await;
    let database = folder.path().join("sensorcast.db");
    let whole = folder.path().join("whole");
    fs::copy(&database, &whole).unwrap();
    let named = format!("no backup was made: {} is damaged (", database.display());
    let what = [named.as_str(), "restore the newest backup that is whole"];

    damage_index(&database).await;
    assert_refuses(&backup(folder.path()), 1, &what);
    assert_no_copy(folder.path());
    // While the service runs, which has not noticed.
    let service = Process::start(&settings_in(folder.path())).await;
    assert_refuses(&backup(folder.path()), 1, &what);
    assert_no_copy(folder.path());
    drop(service);

    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(folder.path().join(format!("sensorcast.db{suffix}")));
    }
    for damage in [damage_pages, cut] {
        fs::copy(&whole, &database).unwrap();
        damage(&database);
        assert_refuses(&backup(folder.path()), 1, &what);
        assert_no_copy(folder.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_damaged_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    make_store(folder.path()).await;
    assert!(backup(folder.path()).status.success());
    let copy = folder.path().join("copy.db");
    fs::copy(&copy, folder.path().join("cut.db")).unwrap();
    cut(&folder.path().join("cut.db"));
    damage_index(&copy).await;
    for name in ["copy.db", "cut.db"] {
        let output = run(binary(folder.path()).args(["restore", name]));
        let refusal = format!("nothing was restored: {name} is damaged (");
        assert_refuses(&output, 1, &[&refusal, "restore another backup"]);
    }
    let service = Process::start(&settings_in(folder.path())).await;
    assert_eq!(service.store_revision().await, i64::from(SENSORS));
}
