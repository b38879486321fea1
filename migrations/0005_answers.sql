-- The answers that are kept for requests that may come again (Idempotency-Key), each written with the change that it tells of.

CREATE TABLE answers (
    -- The key that the client chose.
    key            TEXT    NOT NULL PRIMARY KEY,
    -- SHA-256 of the request: another request with the same key is told so.
    fingerprint    BLOB    NOT NULL,
    -- When, for it to be forgotten: milliseconds since 1970-01-01T00:00:00Z.
    made_at_ms     INTEGER NOT NULL,
    -- What the write did, from which status and headers follow.
    outcome        TEXT    NOT NULL CHECK (outcome IN ('created', 'modified', 'unchanged')),
    -- The sensor as it was answered, byte for byte, whatever became of it since.
    sensor_id      TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    revision       INTEGER NOT NULL,
    representation TEXT    NOT NULL
) STRICT;

-- The oldest are forgotten first.
CREATE INDEX answers_by_age ON answers (made_at_ms);
