use sensorcast::config::CorsOrigins;
use serde_json::json;

use crate::harness::{Answer, PUBLIC_URL, Service};

fn comparable_headers(answer: &Answer) -> Vec<(String, String)> {
    let own_to_each_answer = ["date", "x-request-id"];
    let mut headers: Vec<_> = answer
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .filter(|(name, _)| !own_to_each_answer.contains(&name.as_str()))
        .collect();
    headers.sort();
    headers
}

#[tokio::test(flavor = "multi_thread")]
async fn get_gives_the_etag_of_epoch_and_revision() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let epoch = service.get("/sensors").await.json()["epoch"]
        .as_str()
        .unwrap()
        .to_owned();
    let read = service.get(&made.path()).await.expect(200);
    assert_eq!(read.etag(), format!("\"{epoch}.{}\"", made.revision()));
    assert_eq!(epoch.len(), 8);
    let base_32 = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    assert!(epoch.chars().all(base_32), "{epoch}");
    let content_type = read.header("content-type").unwrap();
    assert!(content_type.starts_with("application/json"), "{content_type}");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn get_by_name_is_the_same_as_by_id_and_names_the_canonical_url() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let by_name = service.get("/sensors/s1").await.expect(200);
    assert_eq!(by_name.body, made.body);
    assert_eq!(by_name.etag(), made.etag());
    let canonical = format!("{PUBLIC_URL}{}", made.path());
    assert_eq!(by_name.header("content-location"), Some(canonical.as_str()));
    // It may be kept, and has to be asked about each time.
    let tag = made.etag();
    let known = [("if-none-match", tag.as_str())];
    let unchanged = service.request("GET", "/sensors/s1", &known, "").await.expect(304);
    for answer in [&made, &by_name, &unchanged, &service.get("/sensors").await] {
        assert_eq!(answer.header("cache-control"), Some("no-cache"), "{answer:?}");
    }
    let of_revision = service.get("/sensors/s1?revision=1").await.expect(200);
    let canonical = format!("{canonical}?revision=1");
    assert_eq!(of_revision.header("content-location"), Some(canonical.as_str()));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_has_the_headers_of_get_and_no_body() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    for path in [
        made.path().as_str(),
        "/sensors/s1",
        "/sensors",
        "/",
        "/sensors?limit=1",
        "/openapi.json",
    ] {
        let read = service.get(path).await.expect(200);
        let head = service.head(path).await.expect(200);
        assert_eq!(comparable_headers(&head), comparable_headers(&read), "{path}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_404_for_get_and_head_by_id_and_by_name() {
    let service = Service::start().await;
    for path in ["/sensors/nobody", "/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90"] {
        service.get(path).await.expect(404);
        service.head(path).await.expect(404);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn get_with_the_current_tag_answers_304_with_the_tag() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    let tag = made.etag();
    let weak = format!("W/{tag}");
    let list = format!("\"other\", {tag}");
    for condition in [tag.as_str(), weak.as_str(), list.as_str(), "*"] {
        for method in ["GET", "HEAD"] {
            let headers = [("if-none-match", condition)];
            let answer = service.request(method, &made.path(), &headers, "").await.expect(304);
            assert_eq!(answer.etag(), tag, "{method} {condition}");
        }
    }
    for condition in ["\"other\"", "\"aaaaaaaa.1\""] {
        let headers = [("if-none-match", condition)];
        service.request("GET", &made.path(), &headers, "").await.expect(200);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accept_header_that_nothing_satisfies_is_406_and_the_usual_ones_are_served() {
    let service = Service::start().await;
    let made = service.create(&json!({"name": "s1"})).await;
    for path in [made.path().as_str(), "/sensors"] {
        for accept in ["image/png", "text/html", "application/json;q=0"] {
            let refused = service
                .request("GET", path, &[("accept", accept)], "")
                .await
                .expect(406);
            assert_eq!(refused.header("vary"), Some("Accept, Accept-Encoding"));
        }
        for accept in [
            "",
            "application/json;profile=\"a,b\"",
            "text/html;q=x, application/json",
            "*/*",
            "application/*",
            "application/json;",
            "application/json ; q=0.5",
            "application/json",
            "text/html, application/json;q=0.5",
            "text/html,*/*;q=0.1",
        ] {
            service
                .request("GET", path, &[("accept", accept)], "")
                .await
                .expect(200);
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_at_hand_is_answered_as_what_takes_the_long_way() {
    let origins = CorsOrigins::These(vec!["https://dashboard.example.com".to_owned()]);
    let service = Service::start_with(|config| config.http.cors_origins = origins).await;
    let metadata = json!({"text": "compressible ".repeat(40)});
    let made = service
        .create(&json!({"name": "s1", "value": 1, "metadata": metadata}))
        .await;
    let tag = made.etag();
    let of_gzip = format!("{}-gzip\"", tag.trim_end_matches('"'));
    let modified = made.header("last-modified").unwrap();
    let cases: &[&[(&str, &str)]] = &[
        &[],
        &[("accept", "application/xml")],
        &[("accept", "application/hal+json;q=0.5, application/xml;q=0.4")],
        &[("accept", "image/png")],
        &[("accept-encoding", "gzip")],
        &[("accept-encoding", "identity;q=0, *;q=0")],
        &[("accept-encoding", "gzip"), ("if-none-match", &of_gzip)],
        &[("accept-encoding", "gzip"), ("if-none-match", &tag)],
        &[("if-none-match", &tag)],
        &[("if-none-match", "\"other\"")],
        &[("if-match", &tag)],
        &[("if-match", "\"other\"")],
        &[("if-modified-since", modified)],
        &[("if-unmodified-since", "Thu, 01 Jan 1970 00:00:00 GMT")],
        &[("origin", "https://dashboard.example.com")],
        &[("expect", "something")],
    ];
    let nowhere = ["/sensors/s2", "/sensors/01936f0e-7c1b-7d61-9d0e-2f1c3b5a7e90"];
    for path in nowhere {
        let (near, far) = (service.get(path).await, service.get(&format!("{path}?")).await);
        assert_eq!((near.status, &near.body), (404, &far.body), "{path}");
        assert_eq!(comparable_headers(&near), comparable_headers(&far), "{path}");
    }
    for path in [made.path(), "/sensors/s1".to_owned()] {
        // By its name it is at hand once somebody has asked for it.
        service.get(&path).await.expect(200);
        for headers in cases {
            let near = service.request("GET", &path, headers, "").await;
            // With a query, be it empty, a request is routed.
            let far = service.request("GET", &format!("{path}?"), headers, "").await;
            let what = format!("{path} {headers:?}");
            assert_eq!(near.status, far.status, "{what}");
            assert_eq!(near.body, far.body, "{what}");
            assert_eq!(comparable_headers(&near), comparable_headers(&far), "{what}");
        }
    }
    let metrics = service.get("/metrics").await;
    let counted = r#"http_request_duration_seconds_count{method="GET",route="/sensors/{sensor}",status="304"}"#;
    assert!(metrics.text().contains(counted), "{}", metrics.text());
    service.finish().await;
}
