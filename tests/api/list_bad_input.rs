use crate::harness::Service;

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_query_parameter_is_400_and_named() {
    let service = Service::start().await;
    let cases = [
        ("limit=0", "limit"),
        ("limit=-1", "limit"),
        ("limit=501", "limit"),
        ("limit=", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.5", "limit"),
        ("limit=%2B5", "limit"),
        ("limit=99999999999999999999999", "limit"),
        ("limit=5&limit=6", "limit"),
        ("limit=5&limit=5", "limit"),
        ("cursor=", "cursor"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=%ff", "cursor"),
        ("cursor=a&cursor=a", "cursor"),
        ("colour=red", "colour"),
        ("limit=5&colour=red", "colour"),
        ("Limit=5", "Limit"),
    ];
    let mut wrong = Vec::new();
    for (query, parameter) in cases {
        let answer = service.get(&format!("/sensors?{query}")).await;
        if answer.status != 400 || !answer.problem().detail.contains(parameter) {
            wrong.push(format!("{query}: {}", answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    let huge = "x".repeat(4000);
    service.get(&format!("/sensors?cursor={huge}")).await.expect(400);
    for query in ["", "?", "?limit=1", "?limit=500"] {
        service.get(&format!("/sensors{query}")).await.expect(200);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_parameter_that_a_sensor_does_not_have_is_400() {
    let service = Service::start().await;
    service.put("/sensors/s1", &serde_json::json!({})).await.expect(201);
    let refused = service.get("/sensors/s1?colour=red").await.expect(400);
    assert!(refused.problem().detail.contains("colour"));
    service.finish().await;
}
