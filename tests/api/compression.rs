//! Content codings, and tags that stay right under them.

use std::io::Read;

use serde_json::json;

use crate::harness::{Answer, Service, exchange};

const CODINGS: [&str; 3] = ["gzip", "br", "zstd"];

async fn read(service: &Service, path: &str, headers: &[(&str, &str)]) -> Answer {
    service.request("GET", path, headers, "").await
}

/// The body without its coding.
fn decoded(answer: &Answer) -> Vec<u8> {
    let (body, mut bytes) = (answer.body.as_ref(), Vec::new());
    match answer.header("content-encoding") {
        None => bytes.extend_from_slice(body),
        Some("gzip") => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut bytes).unwrap()),
        Some("br") => drop(brotli::Decompressor::new(body, 4096).read_to_end(&mut bytes).unwrap()),
        Some("zstd") => bytes = zstd::decode_all(body).unwrap(),
        Some(other) => panic!("{other}"),
    }
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compressed_says_the_same_and_has_a_tag_of_its_own() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    let mut tags = Vec::new();
    for form in ["application/json", "application/xml"] {
        for path in ["/sensors/s1", "/sensors"] {
            let plain = read(&service, path, &[("accept", form)]).await.expect(200);
            assert_eq!(plain.header("content-encoding"), None);
            for coding in CODINGS {
                let headers = [("accept", form), ("accept-encoding", coding)];
                let answer = read(&service, path, &headers).await.expect(200);
                assert_eq!(answer.header("content-encoding"), Some(coding));
                assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"));
                assert_eq!(answer.header("content-type"), plain.header("content-type"));
                assert_eq!(decoded(&answer), plain.body, "{coding}");
                assert!(answer.body.len() < plain.body.len());
                let head = service.request("HEAD", path, &headers, "").await.expect(200);
                for name in ["content-length", "etag", "content-encoding", "vary"] {
                    assert_eq!(head.header(name), answer.header(name), "{name}");
                }
                tags.push((path, answer.etag()));
            }
            tags.push((path, plain.etag()));
        }
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 2 * 2 * 4);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_compresses_gets_304_with_the_tag_that_it_has_and_with_no_other() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    for path in ["/sensors/s1", "/sensors"] {
        let plain = service.get(path).await.etag();
        for coding in CODINGS {
            let accept = ("accept-encoding", coding);
            let tag = read(&service, path, &[accept]).await.expect(200).etag();
            for method in ["GET", "HEAD"] {
                for condition in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
                    let headers = [accept, ("if-none-match", condition.as_str())];
                    let unchanged = service.request(method, path, &headers, "").await.expect(304);
                    assert_eq!(unchanged.etag(), tag, "{condition}");
                    assert_eq!(unchanged.header("vary"), Some("Accept, Accept-Encoding"));
                }
            }
            let with_other = read(&service, path, &[accept, ("if-none-match", &plain)])
                .await
                .expect(200);
            assert_eq!(with_other.etag(), tag);
            let without = read(&service, path, &[("if-none-match", &tag)]).await.expect(200);
            assert_eq!(without.etag(), plain);
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_takes_the_tag_of_a_compressed_representation() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    for coding in CODINGS {
        let headers = [("accept", "application/xml"), ("accept-encoding", coding)];
        let tag = read(&service, "/sensors/s1", &headers).await.expect(200).etag();
        let condition = ("if-match", tag.as_str());
        let change = json!({"kind": coding});
        service.patch_if("/sensors/s1", condition, &change).await.expect(200);
        service.patch_if("/sensors/s1", condition, &change).await.expect(412);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_coding_is_the_one_that_the_client_likes_best() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1"})).await;
    for (accept, expected) in [
        ("", None),
        ("identity", None),
        ("deflate", None),
        ("gzip;q=0", None),
        ("gzip;q=0, br;q=0, zstd;q=0, *", None),
        ("*", Some("gzip")),
        ("gzip;q=0, *", None),
        ("gzip;q=0.5, br;q=0.6", Some("br")),
        ("gzip;q=0.5, identity;q=0.6", None),
        ("gzip, deflate, br, zstd", Some("zstd")),
        ("GZIP", Some("gzip")),
        ("x-gzip", Some("gzip")),
        ("identity;q=0, gzip", Some("gzip")),
        ("gzip;q=nonsense", None),
    ] {
        for path in ["/sensors/s1", "/sensors", "/openapi.json", "/metrics", "/events"] {
            let answer = read(&service, path, &[("accept-encoding", accept)]).await.expect(200);
            assert_eq!(answer.header("content-encoding"), expected, "{path} {accept}");
            assert!(answer.header("vary").unwrap_or_default().contains("Accept-Encoding") || path == "/events");
        }
    }
    for nothing in ["identity;q=0", "*;q=0", "identity;q=0, deflate"] {
        for path in ["/sensors/s1", "/sensors"] {
            read(&service, path, &[("accept-encoding", nothing)]).await.expect(406);
            // The client above always sends `Accept` as well.
            let bytes =
                format!("GET {path} HTTP/1.1\r\nhost: x\r\naccept-encoding: {nothing}\r\nconnection: close\r\n\r\n");
            let answer = exchange(service.addr, bytes.as_bytes()).await.expect("an answer");
            assert_eq!(answer.status, 406, "{path} {nothing}");
        }
        let headers = [("content-type", "application/json"), ("accept-encoding", nothing)];
        service
            .request("POST", "/sensors", &headers, "{\"name\": \"s2\"}")
            .await
            .expect(406);
    }
    service.get("/sensors/s2").await.expect(404);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tiny_and_what_flows_is_not_compressed() {
    let service = Service::start().await;
    let live = read(&service, "/health/live", &[("accept-encoding", "gzip")])
        .await
        .expect(200);
    assert_eq!(live.header("content-encoding"), None);
    let forced = [("accept-encoding", "gzip, identity;q=0")];
    let live = read(&service, "/health/live", &forced).await.expect(200);
    assert_eq!(live.header("content-encoding"), Some("gzip"));
    let mut stream = service
        .event_stream("/events", &[("accept-encoding", "gzip, br, zstd")])
        .await;
    service.create(&json!({"name": "s1"})).await;
    let event = stream.try_next().await.unwrap();
    assert!(event.contains("\"created\""), "{event}");
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_problem_and_a_written_sensor_are_compressed_as_well() {
    let service = Service::start().await;
    let headers = [("content-type", "application/json"), ("accept-encoding", "gzip")];
    let made = service
        .request("POST", "/sensors", &headers, "{\"name\": \"s1\"}")
        .await
        .expect(201);
    assert_eq!(made.header("content-encoding"), Some("gzip"));
    let tag = read(&service, "/sensors/s1", &[("accept-encoding", "gzip")])
        .await
        .etag();
    assert_eq!(made.etag(), tag);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_of_what_is_too_short_to_be_compressed_has_the_tag_of_the_200() {
    let service = Service::start().await;
    service.create(&json!({"name": "s1", "value": 21.5})).await;
    for (path, form) in [
        ("/sensors/s1/value", "application/json"),
        ("/sensors/s1/value", "text/plain"),
        ("/sensors?fields=name", "text/csv"),
    ] {
        let headers = [("accept", form), ("accept-encoding", "gzip")];
        let tag = read(&service, path, &headers).await.expect(200).etag();
        assert!(!tag.contains("gzip"), "{tag}");
        for condition in [tag.as_str(), "*"] {
            let headers = [headers[0], headers[1], ("if-none-match", condition)];
            assert_eq!(read(&service, path, &headers).await.expect(304).etag(), tag, "{path}");
        }
        let compressed = tag.strip_suffix('"').unwrap().to_owned() + "-gzip\"";
        let headers = [headers[0], headers[1], ("if-none-match", &compressed)];
        assert_eq!(read(&service, path, &headers).await.expect(200).etag(), tag, "{path}");
    }
    service.finish().await;
}
