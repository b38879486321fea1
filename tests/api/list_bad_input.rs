use crate::harness::Service;

/// A query that is refused, and the parameter that the answer names.
const CASES: &[(&str, &str)] = &[
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
    ("cursor=01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90", "cursor"),
    ("cursor=name~s1", "cursor"),
    ("cursor=k3f7q2vt.name~s1", "cursor"),
    ("cursor=k3f7q2vt.1", "cursor"),
    ("cursor=k3f7q2v1.name~s1&sort=name", "cursor"),
    (
        "cursor=k3f7q2vt.value~1~01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90&sort=updated_at",
        "cursor",
    ),
    ("cursor=k3f7q2vt.name~a~b&sort=name", "cursor"),
    ("cursor=k3f7q2vt.before~&sort=name", "cursor"),
    ("sort=", "sort"),
    ("sort=colour", "sort"),
    ("sort=metadata.room", "sort"),
    ("sort=--name", "sort"),
    ("sort=%2Bname", "sort"),
    ("sort=name,id", "sort"),
    ("sort=name&sort=-name", "sort"),
    ("fields=", "fields"),
    ("fields=id,,name", "fields"),
    ("fields=id,id", "fields"),
    ("fields=colour", "fields"),
    ("fields=id&fields=name", "fields"),
    ("count=", "count"),
    ("count=true", "count"),
    ("count=exact&count=exact", "count"),
    ("name=", "name"),
    ("name=*", "name"),
    ("name=*boiler", "name"),
    ("name=b*r", "name"),
    ("name=b**", "name"),
    ("name=a%2Fb", "name"),
    ("name=%00", "name"),
    ("name=01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90", "name"),
    ("name=a&name=b", "name"),
    ("kind=", "kind"),
    ("kind=a%0Ab", "kind"),
    ("kind=%ff", "kind"),
    ("kind=%zz", "kind"),
    ("kind=5%", "kind"),
    ("kind=%C3", "kind"),
    (
        "kind=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "kind",
    ),
    ("unit=", "unit"),
    ("unit=a&unit=b", "unit"),
    ("status=", "status"),
    ("status=Active", "status"),
    ("status=asleep", "status"),
    ("status=active,inactive", "status"),
    ("metadata=x", "metadata"),
    ("metadata.=x", "metadata."),
    ("metadata.room=a&metadata.room=b", "metadata.room"),
    ("metadata%2Eroom=a&metadata.room=b", "metadata.room"),
    ("metadata.room=%ff", "metadata.room"),
    ("metadata.%ff=a", "metadata."),
    ("Metadata.room=a", "Metadata.room"),
    ("value=1", "value"),
    ("value_min=", "value_min"),
    ("value_min=hot", "value_min"),
    ("value_min=NaN", "value_min"),
    ("value_min=1e400", "value_min"),
    ("value_min=%2B1", "value_min"),
    ("value_min=0x10", "value_min"),
    ("value_max=Infinity", "value_max"),
    ("value_max=1,5", "value_max"),
    ("value_min=2&value_max=1", "value_min"),
    ("value_min=1&value_min=2", "value_min"),
    ("updated_since=", "updated_since"),
    ("updated_since=yesterday", "updated_since"),
    ("updated_since=2026-11-22", "updated_since"),
    ("updated_since=2026-02-30T00:00:00Z", "updated_since"),
    ("updated_since=1795345200", "updated_since"),
    ("bbox=", "bbox"),
    ("bbox=1,2,3", "bbox"),
    ("bbox=1,2,3,4,5,6", "bbox"),
    ("bbox=a,b,c,d", "bbox"),
    ("bbox=-181,0,0,0", "bbox"),
    ("bbox=0,0,0,91", "bbox"),
    ("bbox=0,10,0,5", "bbox"),
    ("bbox=0,0,1,1&bbox=0,0,2,2", "bbox"),
    ("near=", "near"),
    ("near=12", "near"),
    ("near=12,41,0", "near"),
    ("near=200,0", "near"),
    ("near=0,-90.1", "near"),
    ("near=NaN,0", "near"),
    ("radius_m=5", "radius_m"),
    ("near=0,0&radius_m=", "radius_m"),
    ("near=0,0&radius_m=-1", "radius_m"),
    ("near=0,0&radius_m=30000000", "radius_m"),
    ("near=0,0&radius_m=far", "radius_m"),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_query_parameter_is_400_and_named() {
    let service = Service::start().await;
    let mut wrong = Vec::new();
    for (query, parameter) in CASES {
        let answer = service.get(&format!("/sensors?{query}")).await;
        let detail = answer.problem().detail;
        if answer.status != 400
            || !detail.contains(parameter)
            || detail.starts_with(|first: char| !first.is_alphabetic())
        {
            wrong.push(format!("{query}: {}", answer.text()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), wrong.join("\n"));
    let huge = "x".repeat(4000);
    service.get(&format!("/sensors?cursor={huge}")).await.expect(400);
    let nine: Vec<_> = (0..9).map(|number| format!("metadata.k{number}=v")).collect();
    let refused = service.get(&format!("/sensors?{}", nine.join("&"))).await.expect(400);
    assert!(refused.problem().detail.contains("metadata."));
    service
        .get(&format!("/sensors?{}", nine[1..].join("&")))
        .await
        .expect(200);
    for query in ["", "?", "?limit=1", "?limit=500", "?&limit=1&"] {
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

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_query_parameter_is_named_and_what_is_allowed_said() {
    let service = Service::start().await;
    service.put("/sensors/s1", &serde_json::json!({})).await.expect(201);
    for (path, said) in [
        (
            "/sensors?limit=0&colour=red&sort=size&limit=5&metadata.=x&kind=",
            &[
                "limit: it is there twice",
                "limit: must be 1 to 500",
                "colour: no such parameter, expected `metadata.KEY` or one of `limit`, `cursor`, `sort`, `fields`",
                "sort: ",
                "kind: ",
                "metadata.: ",
            ][..],
        ),
        ("/sensors?fields=name,red,blue", &["\"red\", \"blue\"", "metadata"]),
        ("/sensors?updated_since=2026-11-22T11:00:00+01:00", &["%2B"]),
        (
            "/sensors/s1?a=1&b=2",
            &["a: no such parameter", "b: no such parameter", "`revision`"],
        ),
        (
            "/sensors?status=asleep&count=all",
            &["status: must be `active` or `inactive`", "count: must be `exact`"],
        ),
        ("/?x=1", &["x: no such parameter, there are no parameters"]),
        (
            "/sensors/s1/history?from=2026-11-22T11:00:00+01:00&to=now",
            &["from: ", "%2B", "to: "],
        ),
        (
            "/events?wait=0&limit=x",
            &["limit: must be a whole number", "wait: must be 1 to 60"],
        ),
    ] {
        let refused = service.get(path).await.expect(400);
        let detail = refused.problem().detail;
        for words in said {
            assert!(detail.contains(words), "{path}: {words} is not in: {detail}");
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_wrong_query_parameters_the_first_32_are_told() {
    let service = Service::start().await;
    let unknown: Vec<_> = (0..1_500).map(|number| format!("p{number}")).collect();
    let twice = vec!["limit=1"; 900];
    for query in [unknown.join("&"), twice.join("&")] {
        let refused = service.get(&format!("/sensors?{query}")).await.expect(400);
        let faults = refused.problem().detail.matches(": it is there twice").count()
            + refused.problem().detail.matches(": no such parameter").count();
        assert_eq!(faults, 32, "{} bytes", refused.body.len());
    }
    service.finish().await;
}
