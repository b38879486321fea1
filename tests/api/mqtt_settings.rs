use serde_json::json;

use crate::harness::{Mosquitto, Service, Subscriber, Version};

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
async fn a_broker_gets_no_higher_quality_of_service_than_it_takes() {
    let mut broker = Mosquitto::stopped_with("max_qos 1");
    broker.run().await;
    let mut subscriber = Subscriber::start(Version::V5, broker.addr(), "sensors/+").await;
    let url = broker.url().parse().unwrap();
    let service = Service::start_with(|config| {
        config.mqtt.qos = 2;
        config.mqtt.url = Some(url);
        config.mqtt.retain_state = true;
    })
    .await;
    service.create(&json!({"name": "s1"})).await;
    let message = subscriber.next().await;
    assert_eq!((message.event().revision, message.qos), (1, 1));
    service.finish().await;
}
