use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::harness::{Answer, Mirror, Service, Subscriber};

const CASES: u32 = 24;
const MAX_OPERATIONS: usize = 20;

/// One request on one of a few names.
#[derive(Debug, Clone)]
enum Operation {
    Post(String, Value),
    Put(String, Value),
    Patch(String, Value),
    Delete(String),
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "d"]).prop_map(str::to_owned)
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        (-3..3_i64).prop_map(|number| json!(number)),
        (-1e9..1e9_f64).prop_map(|number| json!(number)),
        any::<bool>().prop_map(|truth| json!(truth)),
        "[ -~é°🌡]{0,12}".prop_map(|text| json!(text)),
    ]
}

fn metadata() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![scalar(), Just(json!(null))];
    let tree = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-c/~ ]{0,2}", inner, 0..3).prop_map(|map| json!(map)),
        ]
    });
    prop::collection::btree_map("[a-c]", tree, 0..3).prop_map(|map| json!(map))
}

fn location() -> impl Strategy<Value = Value> {
    (-180.0..180.0_f64, -90.0..90.0_f64, prop::option::of(-10..10_i32)).prop_map(|(longitude, latitude, altitude)| {
        let mut coordinates = vec![json!(longitude), json!(latitude)];
        coordinates.extend(altitude.map(|metres| json!(metres)));
        json!({"type": "Point", "coordinates": coordinates})
    })
}

fn member() -> impl Strategy<Value = (String, Value)> {
    let named = |name: &'static str, value: BoxedStrategy<Value>| value.prop_map(move |value| (name.to_owned(), value));
    let text = || "[ -~é]{1,8}".prop_map(|text| json!(text)).boxed();
    let status = prop::sample::select(vec![json!("active"), json!("active"), json!("inactive")]);
    prop_oneof![
        3 => named("value", scalar().boxed()),
        1 => named("kind", text()),
        1 => named("unit", text()),
        2 => named("metadata", metadata().boxed()),
        1 => named("location", location().boxed()),
        1 => named("status", status.boxed()),
        1 => named("measured_at", Just(json!("2026-11-22T11:00:00.5Z")).boxed()),
        1 => prop::sample::select(vec!["value", "kind", "unit", "metadata", "location", "measured_at"])
            .prop_map(|name| (name.to_owned(), Value::Null)),
    ]
}

fn body() -> impl Strategy<Value = Value> {
    prop::collection::vec(member(), 0..4).prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn operation() -> impl Strategy<Value = Operation> {
    let patch = (body(), prop::option::weighted(0.15, name())).prop_map(|(mut body, rename)| {
        if let Some(name) = rename {
            body["name"] = json!(name);
        }
        body
    });
    prop_oneof![
        2 => (name(), body()).prop_map(|(name, body)| Operation::Post(name, body)),
        3 => (name(), body()).prop_map(|(name, body)| Operation::Put(name, body)),
        5 => (name(), patch).prop_map(|(name, body)| Operation::Patch(name, body)),
        1 => name().prop_map(Operation::Delete),
    ]
}

async fn send(service: &Service, operation: &Operation) -> Answer {
    match operation {
        Operation::Post(name, body) => {
            let mut body = body.clone();
            body["name"] = json!(name);
            service.post(&body).await
        }
        Operation::Put(name, body) => service.put(&format!("/sensors/{name}"), body).await,
        Operation::Patch(name, body) => service.patch(&format!("/sensors/{name}"), body).await,
        Operation::Delete(name) => service.delete(&format!("/sensors/{name}")).await,
    }
}

/// Sends one request, and takes and checks the event when it changed something.
async fn step(service: &Service, subscriber: &mut Subscriber, mirror: &mut Mirror, operation: &Operation) {
    let answer = send(service, operation).await;
    assert!(
        matches!(answer.status, 200 | 201 | 204 | 404 | 409),
        "{operation:?}: {}",
        answer.text()
    );
    let revision = match answer.status {
        200 | 201 => answer.revision(),
        204 => mirror.revision + 1,
        _ => return,
    };
    if revision <= mirror.revision {
        let held = &mirror.sensors[&answer.id()];
        assert_eq!(
            held,
            &answer.json(),
            "a write that changes nothing answers with what is"
        );
        return;
    }
    let event = subscriber.next_event().await;
    mirror.apply(&event);
    let expected = match operation {
        Operation::Delete(_) => ("deleted", false),
        _ if answer.status == 201 => ("created", true),
        Operation::Put(..) => ("modified", true),
        _ => ("modified", false),
    };
    assert_eq!((event.kind.as_str(), event.state.is_some()), expected);
    if event.kind != "deleted" {
        let read = service.assert_reads_as(&event).await;
        assert_eq!(
            mirror.sensors[&event.sensor], read,
            "previous and changes make what is read"
        );
        assert_eq!(answer.json(), read);
    }
}

/// After any sequence of requests: revisions are dense, `state` is the GET body byte for byte, previous and `changes`
/// make the next representation, and a mirror made of the events equals the list.
#[test]
fn a_mirror_made_of_the_events_equals_the_store_after_any_sequence_of_requests() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let service = runtime.block_on(Service::start());
    let subscriber = runtime.block_on(service.subscribe());
    let shared = std::cell::RefCell::new((subscriber, Mirror::default()));
    let mut runner = TestRunner::new(Config {
        cases: CASES,
        failure_persistence: None,
        max_shrink_iters: 64,
        ..Config::default()
    });
    let sequence = prop::collection::vec(operation(), MAX_OPERATIONS / 2..=MAX_OPERATIONS);
    let result = runner.run(&sequence, |operations| {
        let (subscriber, mirror) = &mut *shared.borrow_mut();
        runtime.block_on(async {
            for operation in &operations {
                step(&service, subscriber, mirror, operation).await;
            }
            mirror.assert_equals(&service.all_pages(2).await);
        });
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    println!("{} revisions", shared.borrow().1.revision);
    runtime.block_on(service.finish());
}
