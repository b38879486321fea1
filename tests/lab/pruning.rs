use crate::harness::{Nest, Process, Settings, eventually};

/// Times in a row that it fails.
const FAILURES: &str = "store.before-prune=3*return(error)";

#[tokio::test(flavor = "multi_thread")]
async fn pruning_that_fails_is_told_when_it_begins_and_when_it_is_over() {
    let nest = Nest::new().await;
    let settings = Settings {
        folder: nest.folder().to_owned(),
        mqtt_url: Some(nest.mosquitto.url()),
    };
    let service = Process::start_with(&settings, &[("FAILPOINTS", FAILURES)]).await;
    let count = |words: &str| service.output().matches(words).count();
    eventually("it works again", async || {
        count("old events and kept answers are removed again") == 1
    })
    .await;
    assert_eq!(count("place=\"store.before-prune\""), 3, "{}", service.output());
    assert_eq!(
        count("old events and kept answers cannot be removed"),
        1,
        "{}",
        service.output()
    );
    // No write has failed.
    service.get("/health/ready").await.expect(200);
    assert_eq!(count("not ready") + count("works again"), 0);
}
