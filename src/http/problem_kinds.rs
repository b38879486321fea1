//! The one table of what can go wrong: it drives the answers, the OpenAPI document and the pages behind the `type` URLs.

use actix_web::http::StatusCode;

/// A kind of problem: a row of [`KINDS`].
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// The last segment of the `type` URL, `/problems/{slug}`.
    pub slug: &'static str,
    /// The status of the answer.
    pub status: StatusCode,
    /// The same short words every time.
    pub title: &'static str,
    /// What happened.
    pub happened: &'static str,
    /// How to fix it.
    pub fix: &'static str,
    /// An answer of this kind.
    pub example: Example,
}

/// What an answer of a kind may say beside what all of its kind say.
#[derive(Debug, PartialEq, Eq)]
pub struct Example {
    /// Method and URL of the request.
    pub request: &'static str,
    /// What is wrong with it.
    pub detail: &'static str,
    /// Where in the body (a JSON Pointer), and what is allowed there.
    pub fault: Option<(&'static str, &'static str)>,
    /// Where it leads.
    pub way_out: WayOut,
}

/// Where the answer of an example leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WayOut {
    /// Nowhere.
    None,
    /// To the sensor in question, in this relation.
    Sensor(&'static str),
    /// To its activation.
    Activate,
    /// To what there is of the log.
    Log,
}

const fn example(request: &'static str, detail: &'static str) -> Example {
    Example {
        request,
        detail,
        fault: None,
        way_out: WayOut::None,
    }
}

impl Example {
    const fn fault(mut self, pointer: &'static str, detail: &'static str) -> Self {
        self.fault = Some((pointer, detail));
        self
    }

    const fn to(mut self, way_out: WayOut) -> Self {
        self.way_out = way_out;
        self
    }
}

macro_rules! kinds {
    ($($name:ident, $status:ident, $slug:literal, $title:literal, $happened:literal, $fix:literal, $example:expr;)+) => {
        $(
            #[doc = $title]
            pub const $name: Kind = Kind {
                slug: $slug,
                status: StatusCode::$status,
                title: $title,
                happened: $happened,
                fix: $fix,
                example: $example,
            };
        )+
        /// Every kind of problem that this service answers with.
        pub const KINDS: &[&Kind] = &[$(&$name),+];
    };
}

kinds! {
    MALFORMED_REQUEST, BAD_REQUEST, "malformed-request", "The request is malformed",
        "The request is not HTTP as RFC 9110 and 9112 have it, or a query parameter is unknown, repeated or out of its range.",
        "The detail names what is wrong: fix it, and send the request again.",
        example("GET /sensors?limit=0", "limit: must be 1 to 500");
    MALFORMED_JSON, BAD_REQUEST, "malformed-json", "The body is not valid JSON",
        "The body has to be one JSON text in UTF-8 (RFC 8259): no duplicate members, no NaN or Infinity, no number that a double cannot hold, nothing after the end, at most 32 levels deep.",
        "The detail tells line and column. Let a JSON library write the body.",
        example("POST /sensors", "duplicate member \"name\" at line 1 column 20");
    ORIGIN_NOT_ALLOWED, FORBIDDEN, "origin-not-allowed", "Scripts of this site may not listen",
        "A browser asked for a WebSocket for a page of another site. Browsers do not restrict WebSockets themselves, so the service does.",
        "The operator allows an origin in CORS_ORIGINS.",
        example("GET /events", "a page of https://example.com may not listen here");
    NOT_FOUND, NOT_FOUND, "not-found", "There is no such resource",
        "Nothing lives at this URL.",
        "A sensor is found at /sensors/{id} or /sensors/{name}; GET / links to everything there is.",
        example("GET /sensors/boiler-temp", "there is no sensor boiler-temp");
    METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED, "method-not-allowed", "The resource does not have this method",
        "The resource is there, but it does not have this method.",
        "Use one of those in the Allow header.",
        example("DELETE /sensors", "this resource does not support DELETE");
    NOT_ACCEPTABLE, NOT_ACCEPTABLE, "not-acceptable", "There is no representation that the request accepts",
        "The Accept header excludes every media type that this resource has, or Accept-Encoding every coding.",
        "Send no such header, or one that allows what the detail names.",
        example("GET /sensors/boiler-temp", "this resource is available as application/json, application/hal+json or application/xml");
    REQUEST_TIMEOUT, REQUEST_TIMEOUT, "request-timeout", "The request took too long to arrive",
        "A request has 5 seconds for its head and 10 seconds for its body, or what the operator set in HTTP_HEAD_TIMEOUT_MS and HTTP_BODY_TIMEOUT_MS.",
        "Send it again.",
        example("POST /sensors", "A request has 5 seconds for its head and 10 seconds for its body, or what the operator set in HTTP_HEAD_TIMEOUT_MS and HTTP_BODY_TIMEOUT_MS. Send it again.");
    NAME_TAKEN, CONFLICT, "name-taken", "Another sensor has this name",
        "Names are unique, and another sensor has this one.",
        "Take another name, or change the sensor that has it: the `related` link leads there.",
        example("POST /sensors", "another sensor has this name; see the related link").to(WayOut::Sensor("related"));
    SENSOR_INACTIVE, CONFLICT, "sensor-inactive", "The sensor is inactive",
        "While a sensor stays inactive, its value does not change.",
        "Activate it first (the `activate` link leads there), or in one PATCH: {\"status\": \"active\", \"value\": …}.",
        example("PATCH /sensors/boiler-temp", "While a sensor stays inactive, its value does not change.").to(WayOut::Activate);
    PATCH_CONFLICT, CONFLICT, "patch-conflict", "The patch does not fit the sensor",
        "A test of the JSON Patch fails, or a place that it names is not there. None of its operations was done.",
        "Read the sensor again (the `latest-version` link) and make the patch anew; the detail names the operation, the first being 0.",
        example("PATCH /sensors/boiler-temp", "operation 0: /value has another value").to(WayOut::Sensor("latest-version"));
    STILL_RUNNING, CONFLICT, "request-still-running", "The request is still in progress",
        "Another request with this Idempotency-Key is still in progress.",
        "Send it again after the seconds in Retry-After: the answer will be that of the first one.",
        example("POST /sensors", "Another request with this Idempotency-Key is still in progress.");
    CURSOR_EXPIRED, GONE, "cursor-expired", "What the cursor leads to is no longer there",
        "The cursor is older than the oldest event that is kept, or it belongs to another epoch: the store was restored from a backup. `oldest` and `head` tell which events there are.",
        "Read the sensors again (the `collection` link), and go on with the events after that.",
        example("GET /events?after=k3f7q2vt.7", "The cursor is older than the oldest event that is kept.").to(WayOut::Log);
    REVISION_EXPIRED, GONE, "revision-expired", "The log no longer tells what the sensor was",
        "The log no longer tells every member that the sensor had at this revision: older events were pruned, or a restore emptied the log.",
        "Read the sensor as it is now (the `latest-version` link), or its history for what is left.",
        example("GET /sensors/boiler-temp?revision=7", "The log no longer tells every member that the sensor had at this revision: older events were pruned, or a restore emptied the log.").to(WayOut::Sensor("latest-version"));
    PRECONDITION_FAILED, PRECONDITION_FAILED, "precondition-failed", "The sensor or the list is not in the state that the request requires",
        "If-Match, If-None-Match or If-Unmodified-Since does not hold: somebody else changed, created or deleted the sensor, or changed the list. The ETag header has the present tag.",
        "Read it again, decide anew, and send the request with that tag.",
        example("PATCH /sensors/boiler-temp", "If-Match: the sensor has another state, whose tag is in the header ETag").to(WayOut::Sensor("latest-version"));
    PRECONDITION_REQUIRED, PRECONDITION_REQUIRED, "precondition-required", "The request has to say which state it changes",
        "This service runs with REQUIRE_IF_MATCH, so that no change of somebody else is lost.",
        "Send the ETag that you read in If-Match.",
        example("DELETE /sensors/boiler-temp", "Send the ETag that you read in If-Match.").to(WayOut::Sensor("latest-version"));
    BODY_TOO_LARGE, PAYLOAD_TOO_LARGE, "body-too-large", "The body is too large",
        "A body has at most 64 KiB, that of a batch 4 MiB, or what the operator set in HTTP_MAX_BODY_BYTES and HTTP_MAX_BATCH_BYTES.",
        "Send less: metadata, the largest member, has at most 16 KiB.",
        example("POST /sensors", "a body has at most 65536 bytes");
    URI_TOO_LONG, URI_TOO_LONG, "uri-too-long", "The URL is too long",
        "A URL has at most 8 KiB, or what the operator set in HTTP_MAX_URL_BYTES.",
        "Shorten it: the URLs that this service hands out are far shorter.",
        example("GET /sensors", "a URL has at most 8192 bytes");
    UNSUPPORTED_MEDIA_TYPE, UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has a media type that is not taken here",
        "POST and PUT take application/json, a PUT of a value text/plain, too; PATCH takes application/merge-patch+json, application/json-patch+json or application/json; in UTF-8 and without a Content-Encoding.",
        "Send the Content-Type that Accept-Post (on POST), Accept-Patch (on PATCH) or Accept (on PUT) names.",
        example("POST /sensors", "the Content-Type has to be application/json, in UTF-8");
    HEADERS_TOO_LARGE, REQUEST_HEADER_FIELDS_TOO_LARGE, "headers-too-large", "The header section is too large",
        "All headers together have at most 32 KiB, or what the operator set in HTTP_MAX_HEADER_BYTES.",
        "Send less: cookies, for example, mean nothing here.",
        example("GET /sensors", "a header section has at most 32768 bytes");
    EXPECTATION_FAILED, EXPECTATION_FAILED, "expectation-failed", "The expectation cannot be met",
        "The only expectation that can be met is 100-continue.",
        "Leave the Expect header out.",
        example("GET /sensors", "The only expectation that can be met is 100-continue.");
    INVALID, UNPROCESSABLE_ENTITY, "invalid-sensor", "The body breaks a rule",
        "The body is valid JSON, but not a valid sensor, patch or batch.",
        "Each entry of `errors` points at a member and says what is allowed there.",
        example("POST /sensors", "1 member breaks a rule; see errors").fault("/value", "must be a number, a boolean or text");
    KEY_REUSED, UNPROCESSABLE_ENTITY, "idempotency-key-reused", "The Idempotency-Key belongs to another request",
        "Within the last 24 hours a request with the same Idempotency-Key had another method, path, media type or body. Nothing was changed.",
        "Make a new key, such as a UUID, for every request that is not sent again.",
        example("POST /sensors", "Within the last 24 hours a request with the same Idempotency-Key had another method, path, media type or body. Nothing was changed. Make a new key, such as a UUID, for every request that is not sent again.").fault("", "is not what was sent with this Idempotency-Key before");
    OVERLOADED, SERVICE_UNAVAILABLE, "overloaded", "Too many requests wait",
        "Nothing was changed.",
        "Send the request again after the seconds in Retry-After.",
        example("POST /sensors", "Nothing was changed. Send the request again after the seconds in Retry-After.");
    TOO_MANY_STREAMS, SERVICE_UNAVAILABLE, "too-many-streams", "Too many event streams are open",
        "The service holds as many event streams open as it may.",
        "Try again after the seconds in Retry-After, or read pages, with `wait` if you like.",
        example("GET /events", "The service holds as many event streams open as it may.");
    OUTCOME_UNKNOWN, SERVICE_UNAVAILABLE, "outcome-unknown", "It is unknown whether the change was made",
        "The disk failed while the change was being committed. The service restarts and finds out.",
        "Read the sensor after that.",
        example("POST /sensors", "The disk failed while the change was being committed. The service restarts and finds out.");
    UNAVAILABLE, SERVICE_UNAVAILABLE, "unavailable", "The service is temporarily unavailable",
        "The service is stopping, its database file or the log beside it is not in its place, or another program has the database locked. Nothing was changed.",
        "Send the request again after the seconds in Retry-After.",
        example("POST /sensors", "The service is stopping, its database file or the log beside it is not in its place, or another program has the database locked. Nothing was changed. Send the request again after the seconds in Retry-After.");
    STORAGE_FULL, INSUFFICIENT_STORAGE, "storage-full", "The disk is full",
        "Nothing was changed. Reading works; writing works again as soon as the operator has made room.",
        "Make room on the disk that holds the database, then send the request again.",
        example("POST /sensors", "Nothing was changed. Reading works; writing works again as soon as the operator has made room.");
    INTERNAL, INTERNAL_SERVER_ERROR, "internal-error", "The service failed",
        "This is a fault of the service, not of the request.",
        "Tell the operator the request id in X-Request-Id, and when it was: the log has the cause, from then or, where it lasts, from when it began.",
        example("GET /sensors", "This is a fault of the service, not of the request.");
}
