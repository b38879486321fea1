use serde_json::json;

use crate::harness::{Service, Subscriber, Version};

#[tokio::test(flavor = "multi_thread")]
async fn mqtt_qos_is_the_quality_of_service_of_the_events() {
    for qos in [0, 1, 2] {
        let service = Service::start_with(|config| config.mqtt.qos = qos).await;
        let mut subscriber = service.subscribe().await;
        // At QoS 0 an event that is sent before the relay has connected waits in the log all the same.
        service.create(&json!({"name": "s1"})).await;
        let message = subscriber.next().await;
        assert_eq!(message.event().revision, 1);
        // The subscription is at QoS 1, and a broker delivers at the lower of the two.
        assert_eq!(message.qos, qos.min(1));
        service.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the service says that MQTT_RETAIN_STATE is not built yet"]
async fn mqtt_retain_state_keeps_the_representation_retained_and_clears_it_on_delete() {
    let service = Service::start_with(|config| config.mqtt.retain_state = true).await;
    let made = service.create(&json!({"name": "s1"})).await;
    let topic = format!("sensors/{}/state", made.id());
    let patched = service.patch("/sensors/s1", &json!({"value": 1})).await.expect(200);
    let mut live = Subscriber::start(Version::V5, service.broker(), &topic).await;
    while live.next().await.payload != patched.body {}
    let mut late = Subscriber::start(Version::V5, service.broker(), &topic).await;
    let message = late.next().await;
    assert!(message.retain && message.payload == patched.body);
    service.delete("/sensors/s1").await.expect(204);
    while !live.next().await.payload.is_empty() {}
    service.finish().await;
}
