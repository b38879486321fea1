//! What the service is held against, each a process of its own: actix-web that does nothing, and a service as it is
//! written when nobody thinks about speed.

use std::net::SocketAddr;
use std::num::NonZero;
use std::path::Path;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::web::{self, Bytes, Data, ServiceConfig};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use anyhow::Context;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use crate::http::Answer;
use crate::sample::{MARK, SENSOR, sensor_id};

/// Answers of the service, for actix-web alone to give.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answers {
    /// To a GET of a sensor.
    pub sensor: Recorded,
    /// To the same with its tag.
    pub not_modified: Recorded,
    /// To a PATCH.
    pub patched: Recorded,
    /// To a GET of the list.
    pub page: Recorded,
}

/// One answer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Recorded {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

/// Sensors of the service with a transaction a request.
pub const SENSORS: u64 = 1000;

/// Headers that the framework writes by itself.
const OWN_HEADERS: [&str; 3] = ["content-length", "date", "connection"];

impl From<Answer> for Recorded {
    fn from(answer: Answer) -> Self {
        Self {
            status: answer.status,
            headers: answer.headers,
            body: answer.body,
        }
    }
}

/// Serves the recorded answers of the file `path`, without end. A PATCH has its body parsed first.
pub fn serve_bare(address: SocketAddr, path: &Path) -> anyhow::Result<()> {
    let answers: Answers = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let answers = Data::new(Prepared {
        sensor: Response::new(&answers.sensor)?,
        not_modified: Response::new(&answers.not_modified)?,
        patched: Response::new(&answers.patched)?,
        page: Response::new(&answers.page)?,
    });
    serve(address, move |app| {
        let sensor = web::resource("/sensors/{id}").get(bare_get).patch(bare_patch);
        app.app_data(answers.clone())
            .service(sensor)
            .route("/sensors", web::get().to(bare_list));
    })
}

/// Serves PATCH from a new database at `path`, a transaction a request, without end.
pub fn serve_transactions(address: SocketAddr, path: &Path) -> anyhow::Result<()> {
    let pool = actix_web::rt::System::new().block_on(open(path))?;
    let pool = Data::new(pool);
    serve(address, move |app| {
        let sensor = web::resource("/sensors/{id}").patch(transaction_patch);
        app.app_data(pool.clone()).service(sensor);
    })
}

/// With the service's number of threads.
fn serve(address: SocketAddr, configure: impl Fn(&mut ServiceConfig) + Clone + Send + 'static) -> anyhow::Result<()> {
    let workers = std::thread::available_parallelism().map_or(2, NonZero::get);
    let server = HttpServer::new(move || App::new().configure(configure.clone()))
        .workers(workers)
        .bind(address)?
        .run();
    actix_web::rt::System::new()
        .block_on(server)
        .context("the server ended")
}

struct Prepared {
    sensor: Response,
    not_modified: Response,
    patched: Response,
    page: Response,
}

struct Response {
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Response {
    fn new(recorded: &Recorded) -> anyhow::Result<Self> {
        let mut headers = Vec::new();
        for (name, value) in &recorded.headers {
            if !OWN_HEADERS.contains(&name.as_str()) {
                headers.push((name.parse()?, value.parse()?));
            }
        }
        Ok(Self {
            status: StatusCode::from_u16(recorded.status)?,
            headers,
            body: Bytes::from(recorded.body.clone()),
        })
    }

    fn respond(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        for (name, value) in &self.headers {
            response.insert_header((name.clone(), value.clone()));
        }
        response.body(self.body.clone())
    }
}

async fn bare_get(request: HttpRequest, answers: Data<Prepared>) -> HttpResponse {
    if request.headers().contains_key(header::IF_NONE_MATCH) {
        answers.not_modified.respond()
    } else {
        answers.sensor.respond()
    }
}

async fn bare_list(answers: Data<Prepared>) -> HttpResponse {
    answers.page.respond()
}

async fn bare_patch(body: Bytes, answers: Data<Prepared>) -> HttpResponse {
    match serde_json::from_slice::<Map<String, Value>>(&body) {
        Ok(_) => answers.patched.respond(),
        Err(_) => HttpResponse::BadRequest().finish(),
    }
}

async fn transaction_patch(id: web::Path<String>, body: Bytes, pool: Data<SqlitePool>) -> HttpResponse {
    match patch_in_transaction(&pool, &id, &body).await {
        Ok(document) => HttpResponse::Ok().content_type("application/json").body(document),
        Err(error) => HttpResponse::ServiceUnavailable().body(error.to_string()),
    }
}

async fn patch_in_transaction(pool: &SqlitePool, id: &str, patch: &[u8]) -> anyhow::Result<String> {
    let changes: Map<String, Value> = serde_json::from_slice(patch)?;
    // Begun as a reader it would fail when another one has written since.
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let document: String = sqlx::query_scalar("SELECT document FROM sensors WHERE id = ?")
        .bind(id)
        .fetch_one(&mut *transaction)
        .await?;
    let mut document: Map<String, Value> = serde_json::from_str(&document)?;
    let payload = serde_json::to_string(&changes)?;
    document.extend(changes);
    let document = serde_json::to_string(&document)?;
    sqlx::query("UPDATE sensors SET document = ? WHERE id = ?")
        .bind(&document)
        .bind(id)
        .execute(&mut *transaction)
        .await?;
    sqlx::query("INSERT INTO events (sensor_id, payload) VALUES (?, ?)")
        .bind(id)
        .bind(payload)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
    Ok(document)
}

/// As durable as the service. Everything else is sqlx's default: ten connections that wait for each other.
async fn open(path: &Path) -> anyhow::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().connect_with(options).await?;
    sqlx::raw_sql(
        "CREATE TABLE sensors (id TEXT NOT NULL PRIMARY KEY, document TEXT NOT NULL) STRICT;
         CREATE TABLE events (revision INTEGER PRIMARY KEY, sensor_id TEXT NOT NULL, payload TEXT NOT NULL) STRICT;",
    )
    .execute(&pool)
    .await?;
    let mut transaction = pool.begin().await?;
    for number in 0..SENSORS {
        sqlx::query("INSERT INTO sensors (id, document) VALUES (?, ?)")
            .bind(sensor_id(number))
            .bind(SENSOR.replace(MARK, &number.to_string()))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(pool)
}
