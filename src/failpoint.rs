//! Named places at which the tests let this process die, fail or wait, and bugs that they plant to see that they are found.
//!
//! `FAILPOINTS='store.before-commit=3*off->1*return(crash)'` has the process abort when it is about to commit for the fourth
//! time (the syntax is that of the crate `fail`); `return(error)` and `return(delay)` are others, with
//! `return(hold)` it waits as long as its working folder has a file of that place's name, so that a test can look at it meanwhile, and
//! `bug.answer-before-commit=return` plants a bug. All of it is in builds with the feature `failpoints` alone, and never in a
//! release build: there both functions are constant.

use std::io;

/// Passes a place.
///
/// # Errors
/// When the tests want it to.
#[cfg(all(feature = "failpoints", debug_assertions))]
pub fn reach(place: &'static str) -> io::Result<()> {
    use std::path::Path;
    use std::thread::sleep;
    use std::time::Duration;

    const DELAY: Duration = Duration::from_millis(200);
    const PAUSE: Duration = Duration::from_millis(5);

    arm();
    let Some(action) = fail::eval(place, Option::unwrap_or_default) else {
        return Ok(());
    };
    let hold = Path::new(place);
    if action == "hold" && !hold.exists() {
        return Ok(());
    }
    tracing::error!(place, action, "failpoint");
    match action.as_str() {
        "crash" => std::process::abort(),
        "delay" => {
            sleep(DELAY);
            Ok(())
        }
        "hold" => {
            while hold.exists() {
                sleep(PAUSE);
            }
            Ok(())
        }
        _ => Err(io::Error::other(place)),
    }
}

/// Whether the tests have planted a bug.
#[cfg(all(feature = "failpoints", debug_assertions))]
#[must_use]
pub fn is_planted(bug: &'static str) -> bool {
    arm();
    fail::eval(bug, |_| ()).is_some()
}

/// Reads the environment, once.
#[cfg(all(feature = "failpoints", debug_assertions))]
fn arm() {
    static ARMED: std::sync::Once = std::sync::Once::new();
    // To drop it would disarm.
    ARMED.call_once(|| std::mem::forget(fail::FailScenario::setup()));
}

/// Passes a place.
///
/// # Errors
/// Never, without the feature `failpoints`.
#[cfg(not(all(feature = "failpoints", debug_assertions)))]
#[inline]
pub const fn reach(_: &'static str) -> io::Result<()> {
    Ok(())
}

/// Whether the tests have planted a bug: not without the feature `failpoints`.
#[cfg(not(all(feature = "failpoints", debug_assertions)))]
#[inline]
#[must_use]
pub const fn is_planted(_: &'static str) -> bool {
    false
}

/// Passes a place where a failure can only be told.
pub fn pass(place: &'static str) {
    if let Err(error) = reach(place) {
        tracing::warn!(%error, "a step has failed");
    }
}
