use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::harness::{Service, exchange};

/// Every string below `value` that is a URL of this service.
fn own_urls(value: &Value, public_url: &str, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with(public_url) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| own_urls(item, public_url, found)),
        // An action takes more than a GET.
        Value::Object(members) if members.contains_key("method") => (),
        Value::Object(members) => members.values().for_each(|item| own_urls(item, public_url, found)),
        _ => (),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entry_point_links_to_everything_else_and_the_links_work() {
    let service = Service::start().await;
    let entry = service.get("/").await.expect(200).json();
    let mut urls = Vec::new();
    own_urls(&entry, &service.public_url, &mut urls);
    for path in [
        "/sensors",
        "/events",
        "/openapi.json",
        "/openapi.yaml",
        "/asyncapi.json",
        "/asyncapi.yaml",
        "/docs",
        "/health/ready",
        "/health/live",
        "/metrics",
    ] {
        let url = format!("{}{path}", service.public_url);
        assert!(
            urls.iter().any(|found| found.trim_end_matches('/') == url),
            "{path}: {entry}"
        );
    }
    for url in urls.iter().filter(|url| !url.contains('{')) {
        let answer = service.follow(url).await;
        assert!(answer.status < 400, "{url}: {}", answer.status);
    }
    // Of several links of one relation the type tells which is which, and it is true.
    for link in entry["links"].as_array().expect("links") {
        if let (Some(media_type), None) = (link["type"].as_str(), link.get("method")) {
            let answer = service.follow(link["href"].as_str().expect("a URL")).await;
            let found = answer.header("content-type").expect("a type");
            assert_eq!(found.split(';').next(), Some(media_type), "{link}");
        }
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_type_of_a_problem_is_a_url_of_this_service_that_explains_it() {
    let service = Service::start().await;
    let refusals = [
        service.get("/sensors/nobody").await.expect(404),
        service.get("/nothing").await.expect(404),
        service.post(&serde_json::json!({})).await.expect(422),
        service.get("/sensors?limit=0").await.expect(400),
        service.request("BREW", "/sensors", &[], "").await.expect(405),
    ];
    for refusal in refusals {
        let kind = refusal.problem().document["type"].as_str().unwrap().to_owned();
        let url = kind.split('#').next().unwrap();
        service.follow(url).await.expect(200);
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document_is_served_as_json_and_yaml() {
    let service = Service::start().await;
    let document = service.get("/openapi.json").await.expect(200).json();
    assert_eq!(document["openapi"].as_str().map(|version| &version[..3]), Some("3.1"));
    for path in ["/", "/sensors", "/health/live", "/health/ready", "/metrics"] {
        assert!(document["paths"].get(path).is_some(), "{path}");
    }
    let yaml = service.get("/openapi.yaml").await.expect(200);
    assert!(yaml.text().starts_with("openapi:"), "{}", &yaml.text()[..80]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swagger_ui_asks_the_service_that_it_came_from_and_shows_answers_as_they_are() {
    let service = Service::start().await;
    let document = service.get("/openapi.json").await.expect(200).json();
    let shown = service.get("/docs/rest/openapi.json").await.expect(200).json();
    // It leads from the document to the root of the service, under whatever path that may be.
    assert_eq!(shown["servers"][0]["url"], "../../");
    assert_eq!(shown["components"]["examples"], document["components"]["examples"]);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swagger_ui_stands_on_a_page_like_the_others() {
    let service = Service::start().await;
    let page = service.get("/docs/rest/").await.expect(200);
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    for part in [
        r#"<meta name="viewport" content="width=device-width, initial-scale=1">"#,
        "<title>REST · sensorcast</title>",
        r#"<link rel="icon" href="data:,">"#,
    ] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_swagger_ui_loads_is_kept_by_browsers_and_not_sent_to_them_again() {
    let service = Service::start().await;
    for file in ["swagger-ui.css", "index.css", "swagger-ui-bundle.js", "swagger.js"] {
        let path = format!("/docs/rest/{file}");
        let mut tags = Vec::new();
        for coding in [None, Some("gzip")] {
            let accepted = coding.map(|coding| ("accept-encoding", coding));
            let accepted = accepted.as_slice();
            let sent = service.request("GET", &path, accepted, "").await.expect(200);
            assert_eq!(sent.header("cache-control"), Some("max-age=3600"), "{file}");
            assert!(
                sent.header("content-type").unwrap().ends_with("; charset=utf-8"),
                "{file}"
            );
            let tag = sent.header("etag").expect("a tag").to_owned();
            for listed in [
                tag.clone(),
                format!("W/{tag}"),
                format!("\"x\" , {tag}, \"y\""),
                "*".to_owned(),
            ] {
                let condition = [accepted, &[("if-none-match", listed.as_str())]].concat();
                let known = service.request("GET", &path, &condition, "").await.expect(304);
                assert_eq!(known.header("etag"), Some(tag.as_str()), "{file}: {listed}");
            }
            tags.push(tag);
        }
        let is_short = service.get(&path).await.expect(200).text().len() < 256;
        assert_eq!(tags[0] == tags[1], is_short, "a coding has a tag of its own: {tags:?}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn swagger_ui_enters_nothing_that_need_not_be_sent() {
    let service = Service::start().await;
    let document = service.get("/docs/rest/openapi.json").await.expect(200).json();
    let operations = document["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|path| path.as_object().unwrap().values());
    let parameters = operations.flat_map(|operation| operation["parameters"].as_array().into_iter().flatten());
    let shared = document["components"]["parameters"].as_object().unwrap().values();
    let (needed, others): (Vec<_>, Vec<_>) = parameters
        .chain(shared)
        .filter(|parameter| parameter.get("$ref").is_none())
        .partition(|parameter| parameter["required"] == true);
    assert!(needed.iter().all(|parameter| !parameter["example"].is_null()));
    assert!(others.len() > 20, "{}", others.len());
    for parameter in &others {
        // An object that is empty keeps it from making up members.
        let nothing = (parameter["schema"]["type"] == "object").then(|| Value::Object(serde_json::Map::new()));
        assert_eq!(parameter.get("example"), nothing.as_ref(), "{parameter}");
    }
    let told = |example: &str| {
        let described = |parameter: &&Value| parameter["description"].as_str().unwrap().ends_with(example);
        others.iter().copied().any(|parameter| described(&parameter))
    };
    for example in [
        "`boiler-*`",
        "`{\"metadata.room\":\"cellar\"}`",
        "`\"create-boiler-temp\"`",
        "`18.5`",
    ] {
        assert!(told(&format!("\n\nFor example {example}")), "{example}");
    }
    // Which revisions a sensor has, only the service knows.
    let mut revisions = others.iter().filter(|parameter| parameter["name"] == "revision");
    assert!(!revisions.any(|parameter| parameter.to_string().contains("For example")));
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_has_an_icon_and_a_content_security_policy_that_keeps_other_hosts_out() {
    let service = Service::start().await;
    for path in [
        "/docs",
        "/docs/events",
        "/docs/rest/",
        "/problems",
        "/problems/name-taken",
    ] {
        let page = service.get(path).await.expect(200);
        // Otherwise a browser asks for /favicon.ico.
        assert!(page.text().contains(r#"<link rel="icon" href="data:,">"#), "{path}");
        let policy = page.header("content-security-policy").expect(path);
        assert!(policy.starts_with("default-src 'self';"), "{path}: {policy}");
        assert!(!policy.contains("http") && !policy.contains('*'), "{path}: {policy}");
    }
    service.get("/docs/rest/nothing.js").await.expect(404);
    service.get("/docs/rest/index.html").await.expect(404);
    service.get("/docs/nothing").await.expect(404);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_too_many_or_too_few_leads_to_the_page() {
    let service = Service::start().await;
    for (path, target) in [
        ("/docs/", "../docs"),
        ("/docs/rest", "rest/"),
        ("/docs/events/", "../events"),
        ("/problems/", "../problems"),
        ("/problems/name-taken/", "../name-taken"),
    ] {
        let redirection = service.get(path).await.expect(308);
        assert_eq!(redirection.header("location"), Some(target), "{path}");
    }
    service.get("/problems/nothing/").await.expect(404);
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_is_text_on_a_page_and_never_markup() {
    let service = Service::start_with(|config| config.mqtt.topic_prefix = "<i>'&\"/".to_owned()).await;
    let page = service.get("/docs/events").await.expect(200);
    assert!(!page.text().contains("<i>"));
    let in_shell = r"&lt;i&gt;'\''&amp;&quot;/sensors/+'";
    assert!(page.text().contains(in_shell), "{}", page.text());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_and_ready_are_200_and_metrics_are_prometheus_text() {
    let service = Service::start().await;
    service.get("/health/live").await.expect(200);
    service.get("/health/ready").await.expect(200);
    service.get("/sensors").await.expect(200);
    let metrics = service.get("/metrics").await.expect(200);
    let counter = "sensorcast_relay_published_events";
    assert!(metrics.text().contains(&format!("\n# TYPE {counter}_total counter\n")));
    assert!(!metrics.text().contains("# EOF") && !metrics.text().contains("# UNIT"));
    let accept = [("accept", "application/openmetrics-text; version=1.0.0")];
    let open_metrics = service.request("GET", "/metrics", &accept, "").await.expect(200);
    assert!(open_metrics.text().contains(&format!("\n# TYPE {counter} counter\n")));
    assert!(open_metrics.text().ends_with("# EOF\n"));
    assert!(metrics.text().contains("/sensors"), "HTTP requests by route");
    service.finish().await;
}

/// The names of metrics in a text, series and families alike.
fn metric_names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sensorcast_")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_of_the_alert_rules_and_of_the_operators_document_is_there() {
    let service = Service::start().await;
    service.get("/sensors").await.expect(200);
    let metrics = service.get("/metrics").await.expect(200);
    let there = metric_names(metrics.text());
    for (path, at_least) in [("deploy/alerts.yaml", 5), ("docs/OPERATIONS.md", 13)] {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect(path);
        let named = metric_names(&text);
        assert!(named.len() >= at_least, "{path}: {named:?}");
        let gone: Vec<_> = named.difference(&there).collect();
        assert!(gone.is_empty(), "{path}: {gone:?}");
    }
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_in_the_operators_document() {
    let service = Service::start().await;
    let metrics = service.get("/metrics").await.expect(200);
    let names = metrics
        .text()
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let document = include_str!("../../docs/OPERATIONS.md");
    let missing: Vec<_> = names
        .filter(|name| !document.contains(&format!("| `{name}` |")))
        .collect();
    assert_eq!(missing, Vec::<&str>::new());
    service.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_no_library_and_no_file() {
    let service = Service::start().await;
    let request = b"POST /sensors HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{";
    let answer = exchange(service.addr, request).await.expect("an answer");
    assert_eq!(answer.status, 400);
    for word in ["serde", "sqlx", "actix", "panicked", "src/"] {
        assert!(!answer.text().contains(word), "{word}: {}", answer.text());
    }
    service.finish().await;
}
