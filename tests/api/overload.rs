use futures_util::future::join_all;
use serde_json::json;

use crate::harness::Service;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_write_queue_is_503_with_retry_after_and_writes_nothing() {
    let service = Service::start_with(|config| config.store.write_queue_max = 1).await;
    let mut created = 0;
    let mut refused = 0;
    // How many find the queue full is up to chance; that some do is not, or this never ends well.
    for round in 0..20 {
        let writes = (0..64).map(|number| {
            let http = (*service).clone();
            async move { http.post(&json!({"name": format!("s{round}-{number}")})).await }
        });
        for answer in join_all(writes).await {
            match answer.status {
                201 => created += 1,
                503 => {
                    assert_eq!(answer.header("retry-after"), Some("1"));
                    assert!(
                        answer.problem().document["type"]
                            .as_str()
                            .is_some_and(|kind| kind.ends_with("/overloaded"))
                    );
                    refused += 1;
                }
                other => panic!("{other}: {}", answer.text()),
            }
        }
        if refused > 0 {
            break;
        }
    }
    assert!(created > 0 && refused > 0, "{created} created, {refused} refused");
    assert_eq!(service.store_revision().await, created);
    service.finish().await;
}
