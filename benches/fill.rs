//! Fills the database of a service that is stopped, by its own schema.
//!
//! The service itself writes one sensor and changes it once. Its rows are then copied by SQL, as often as wanted, each
//! with an id, a name and revisions of its own, so that every row is one that the service could have written, whatever
//! columns it has. It then takes a minute to do what would take hours by requests.

use std::fs::File;
use std::path::Path;

use anyhow::ensure;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use crate::process::Place;
use crate::sample::{MARK, SENSOR};

/// What a database is to hold.
#[derive(Debug, Clone, Copy)]
pub struct Contents {
    pub sensors: u64,
    /// Changes of them, after the events of their creation: one after the other, all sensors in turn.
    pub changes: u64,
    /// Whether the broker has all events already.
    pub is_published: bool,
}

const CHANGE: &str = r#"{"value":22.5}"#;

/// Makes the database of the service in the folder `name`, which does not run.
pub fn fill(place: &Place, name: &str, contents: Contents) -> anyhow::Result<()> {
    let template = place.service(name, None)?;
    let mut client = template.client()?;
    let path = format!("/sensors/01a20000-0000-7000-8000-{MARK}");
    client.send("PUT", &path, "content-type: application/json\n", SENSOR, 201)?;
    client.send("PATCH", &path, "content-type: application/json\n", CHANGE, 200)?;
    template.quiet()?;
    let database = template.database();
    drop(template);
    block_on(copy(&database, contents))?;
    // The first COMMIT that is measured would have to wait for all of it.
    Ok(File::open(&database)?.sync_all()?)
}

/// Makes the log of the service in the folder `name`, which does not run, one that no broker has seen.
pub fn forget_relayed(place: &Place, name: &str) -> anyhow::Result<()> {
    let database = place.folder(name)?.join("data/sensorcast.db");
    block_on(async {
        let mut connection = connect(&database).await?;
        sqlx::query("UPDATE relay SET revision = 0")
            .execute(&mut connection)
            .await?;
        Ok(connection.close().await?)
    })
}

fn block_on(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread().build()?.block_on(task)
}

async fn connect(database: &Path) -> anyhow::Result<SqliteConnection> {
    // Nothing is lost when this fails but the time: it is made anew.
    let options = SqliteConnectOptions::new()
        .filename(database)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-262144");
    Ok(options.connect().await?)
}

async fn copy(database: &Path, contents: Contents) -> anyhow::Result<()> {
    let Contents { sensors, changes, .. } = contents;
    let mut connection = connect(database).await?;
    execute(&mut connection, "CREATE TEMP TABLE sensor AS SELECT * FROM sensors").await?;
    execute(&mut connection, "CREATE TEMP TABLE event AS SELECT * FROM events").await?;
    execute(&mut connection, "DELETE FROM sensors").await?;
    execute(&mut connection, "DELETE FROM events").await?;

    // `n` counts from 0. A change that comes `sensors` later than another is of the same sensor.
    let created = Copy {
        table: "events",
        template: "event WHERE revision = 1",
        number: "n",
        texts: vec![(r#""revision":1,"#, r#""revision":%d,"#, "n + 1".to_owned())],
        revision: "n + 1".to_owned(),
    };
    created.run(&mut connection, sensors).await?;
    let modified = Copy {
        table: "events",
        template: "event WHERE revision = 2",
        number: &format!("n % {sensors}"),
        texts: vec![
            (r#""revision":2,"#, r#""revision":%d,"#, format!("n + {sensors} + 1")),
            (r#""previous":1,"#, r#""previous":%d,"#, "n + 1".to_owned()),
        ],
        revision: format!("n + {sensors} + 1"),
    };
    modified.run(&mut connection, changes).await?;
    // The last change of sensor n, or its creation.
    let last = format!("n + 1 + {sensors} * (({changes} - n + {sensors} - 1) / {sensors})");
    let last = format!("iif(n < {changes}, {last}, n + 1)");
    let sensor = Copy {
        table: "sensors",
        template: "sensor",
        number: "n",
        texts: vec![(r#""revision":2,"#, r#""revision":%d,"#, last.clone())],
        revision: last,
    };
    sensor.run(&mut connection, sensors).await?;

    let head = sensors + changes;
    let relayed = if contents.is_published { head } else { 0 };
    execute(&mut connection, &format!("UPDATE store SET head = {head}")).await?;
    execute(&mut connection, &format!("UPDATE relay SET revision = {relayed}")).await?;
    let rows: i64 = sqlx::query_scalar("SELECT (SELECT count(*) FROM sensors) + (SELECT count(*) FROM events)")
        .fetch_one(&mut connection)
        .await?;
    ensure!(u64::try_from(rows)? == head + sensors, "{rows} rows were written");
    Ok(connection.close().await?)
}

/// Copies one row many times.
struct Copy<'a> {
    table: &'a str,
    /// The table that holds that row alone, or the condition that it alone fulfils.
    template: &'a str,
    /// The number of the sensor, by `n`.
    number: &'a str,
    /// What else is replaced in its texts: this, by that form of the number.
    texts: Vec<(&'a str, &'a str, String)>,
    /// The number for its column `revision`.
    revision: String,
}

impl Copy<'_> {
    async fn run(&self, connection: &mut SqliteConnection, count: u64) -> anyhow::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let columns: Vec<String> = sqlx::query_scalar("SELECT name FROM pragma_table_info(?)")
            .bind(self.table)
            .fetch_all(&mut *connection)
            .await?;
        let values: Vec<_> = columns.iter().map(|column| self.value(column)).collect();
        let sql = format!(
            "WITH RECURSIVE counted(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM counted WHERE n < {last})
             INSERT INTO main.{table} ({columns}) SELECT {values}
             FROM counted CROSS JOIN (SELECT * FROM temp.{template})",
            last = count - 1,
            table = self.table,
            columns = columns.join(", "),
            values = values.join(", "),
            template = self.template,
        );
        execute(connection, &sql).await
    }

    fn value(&self, column: &str) -> String {
        if column == "revision" {
            return self.revision.clone();
        }
        // The key that the database gives, which it does for NULL.
        if column == "number" {
            return "NULL".to_owned();
        }
        let mut text = format!("replace({column}, '{MARK}', printf('%012x', {}))", self.number);
        for (old, new, number) in &self.texts {
            text = format!("replace({text}, '{old}', printf('{new}', {number}))");
        }
        format!("CASE typeof({column}) WHEN 'text' THEN {text} ELSE {column} END")
    }
}

async fn execute(connection: &mut SqliteConnection, sql: &str) -> anyhow::Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
