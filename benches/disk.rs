//! What the disk takes for one durable write: the unit in which durable requests are measured.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::table::percentile;

/// The times of many writes of one page at the end of a file, each with its fdatasync.
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    pub median: Duration,
    pub p99: Duration,
}

const PAGE_BYTES: usize = 4096;
const SPAN: Duration = Duration::from_millis(700);

/// Measures it in `folder`, for 0.7 s.
pub fn measure(folder: &Path) -> anyhow::Result<Disk> {
    let path = folder.join("fdatasync");
    let mut file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
    let (page, mut times) = ([7; PAGE_BYTES], Vec::new());
    let start = Instant::now();
    while start.elapsed() < SPAN {
        let started = Instant::now();
        file.write_all(&page)?;
        // fdatasync(2) on Linux.
        file.sync_data()?;
        times.push(started.elapsed());
    }
    Ok(Disk {
        median: percentile(&mut times, 0.5),
        p99: percentile(&mut times, 0.99),
    })
}
