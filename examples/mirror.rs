//! Keeps an exact mirror of the sensors of a service and prints how it grows and lags.
//!
//!     cargo run --example mirror [URL]

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use sensorcast::mirror::{Mirror, MirrorOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("http://localhost:8000".to_owned());
    let mut mirror = Mirror::start(MirrorOptions::new(url.parse()?))?;
    loop {
        let (status, lag) = (mirror.status(), mirror.lag());
        match mirror.snapshot() {
            Some(now) => println!(
                "{} sensors at revision {}, {lag} behind, {status:?}",
                now.sensors.len(),
                now.revision
            ),
            None => println!("nothing yet, {status:?}"),
        }
        mirror.changed().await;
    }
}
