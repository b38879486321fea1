-- The sensors, the log of their changes, and how far the log has been delivered.
-- Every table is STRICT: SQLite then refuses a value of another type instead of keeping it.

-- 'sens' in ASCII: tells this file from any other SQLite database.
PRAGMA application_id = 1936027251;

-- One row: the store itself.
CREATE TABLE store (
    id    INTEGER PRIMARY KEY CHECK (id = 1),
    -- Which life of the store its revisions belong to; written when the database is created.
    epoch TEXT    NOT NULL,
    -- The newest revision. A row of its own, because max(revision) would go back when the newest events are pruned.
    head  INTEGER NOT NULL CHECK (head >= 0)
) STRICT;

CREATE TABLE sensors (
    -- The UUID in its 36-character form: what people and the log say. Lists page by it, because it never changes.
    id       TEXT    NOT NULL PRIMARY KEY,
    -- Unique by the database's word, so that of two racing writers one is told.
    name     TEXT    NOT NULL UNIQUE,
    -- The change that made it what it is: its ETag, readable without the document.
    revision INTEGER NOT NULL CHECK (revision > 0),
    -- Links depend on it, so a read needs it without parsing the document.
    status   TEXT    NOT NULL CHECK (status IN ('active', 'inactive')),
    -- The representation without its links, in the bytes that every reader gets.
    document TEXT    NOT NULL
) STRICT;

-- The log: one row a change, written in the transaction of the change, never updated.
CREATE TABLE events (
    -- Dense and in commit order.
    revision        INTEGER NOT NULL PRIMARY KEY,
    -- The topic, and the filter of a sensor's own log.
    sensor_id       TEXT    NOT NULL,
    -- The CloudEvents type.
    kind            TEXT    NOT NULL CHECK (kind IN ('created', 'modified', 'deleted')),
    -- The CloudEvents time and the age that retention goes by: milliseconds since 1970-01-01T00:00:00Z.
    committed_at_ms INTEGER NOT NULL,
    -- The message as it is published, byte for byte.
    payload         TEXT    NOT NULL
) STRICT;

-- One row: how far the broker has acknowledged the log, without a gap.
CREATE TABLE relay (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL CHECK (revision >= 0)
) STRICT;
INSERT INTO relay (id, revision) VALUES (1, 0);
