-- What the list selects and sorts by. A reported value changes two indexes alone, of `updated_at_ms` and of
-- `value_number`: the others belong to columns that its UPDATE does not set.

-- Made anew: for a number that a row keeps for good, for NOT NULL columns, and with the document last, so that the
-- columns before it are read without passing over it.
CREATE TABLE sensors_new (
    -- For the R-tree, which knows only integers; VACUUM leaves it as it is, unlike a bare rowid.
    number        INTEGER PRIMARY KEY,
    -- The UUID in its 36-character form: what people and the log say. Lists page by it, because it never changes.
    id            TEXT    NOT NULL,
    -- Unique by the database's word, so that of two racing writers one is told.
    name          TEXT    NOT NULL,
    -- The change that made it what it is: its ETag, readable without the document.
    revision      INTEGER NOT NULL CHECK (revision > 0),
    -- Links depend on it, so a read needs it without parsing the document.
    status        TEXT    NOT NULL CHECK (status IN ('active', 'inactive')),
    kind          TEXT,
    unit          TEXT,
    -- The value, where it is a number.
    value_number  REAL,
    -- Milliseconds since 1970-01-01T00:00:00Z. Not left to the revision, which outlives a clock that is set back.
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    -- WGS 84, where it has a location.
    longitude_deg REAL,
    latitude_deg  REAL,
    -- The representation without its links, in the bytes that every reader gets.
    document      TEXT    NOT NULL
) STRICT;

CREATE UNIQUE INDEX sensors_by_id ON sensors_new (id);
CREATE UNIQUE INDEX sensors_by_name ON sensors_new (name);
-- Each filter in the order of the ids, which is that of a list when nobody asks for another.
CREATE INDEX sensors_by_kind ON sensors_new (kind, id) WHERE kind IS NOT NULL;
CREATE INDEX sensors_by_unit ON sensors_new (unit, id) WHERE unit IS NOT NULL;
CREATE INDEX sensors_by_status ON sensors_new (status, id);
CREATE INDEX sensors_by_value ON sensors_new (value_number, id) WHERE value_number IS NOT NULL;
CREATE INDEX sensors_by_creation ON sensors_new (created_at_ms, id);
-- The changes of one commit share an instant; the revision tells them apart, and takes less room than the id.
CREATE INDEX sensors_by_change ON sensors_new (updated_at_ms, revision);

-- The members of metadata that are text, numbers or booleans: those that are longer than anybody looks for are left out.
CREATE TABLE sensor_metadata (
    sensor_id TEXT NOT NULL REFERENCES sensors_new (id) ON DELETE CASCADE,
    key       TEXT NOT NULL,
    -- Text, or a number; 'true' and 'false' for booleans.
    value     ANY  NOT NULL,
    PRIMARY KEY (sensor_id, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX metadata_by_value ON sensor_metadata (key, value, sensor_id);

-- Where sensors are, rounded outwards to what an R-tree holds; the row has the position itself.
CREATE VIRTUAL TABLE sensor_places USING rtree (number, west, east, south, north);

-- These two follow the row, whoever writes it. A statement that leaves the location and the metadata as they are does
-- not set `longitude_deg`, and so fires neither.
CREATE TRIGGER sensor_created AFTER INSERT ON sensors_new BEGIN
    INSERT INTO sensor_places SELECT new.number, new.longitude_deg, new.longitude_deg, new.latitude_deg, new.latitude_deg
        WHERE new.longitude_deg IS NOT NULL;
    INSERT INTO sensor_metadata SELECT new.id, key, CASE WHEN type IN ('true', 'false') THEN type ELSE atom END
        FROM json_each(new.document, '$.metadata') WHERE atom IS NOT NULL AND length(key) <= 256 AND length(atom) <= 256;
END;
CREATE TRIGGER sensor_moved AFTER UPDATE OF longitude_deg ON sensors_new
WHEN (new.longitude_deg, new.latitude_deg) IS NOT (old.longitude_deg, old.latitude_deg) BEGIN
    DELETE FROM sensor_places WHERE number = new.number;
    INSERT INTO sensor_places SELECT new.number, new.longitude_deg, new.longitude_deg, new.latitude_deg, new.latitude_deg
        WHERE new.longitude_deg IS NOT NULL;
END;
CREATE TRIGGER sensor_described AFTER UPDATE OF longitude_deg ON sensors_new
WHEN new.document -> '$.metadata' IS NOT old.document -> '$.metadata' BEGIN
    DELETE FROM sensor_metadata WHERE sensor_id = new.id;
    INSERT INTO sensor_metadata SELECT new.id, key, CASE WHEN type IN ('true', 'false') THEN type ELSE atom END
        FROM json_each(new.document, '$.metadata') WHERE atom IS NOT NULL AND length(key) <= 256 AND length(atom) <= 256;
END;
CREATE TRIGGER sensor_deleted AFTER DELETE ON sensors_new WHEN old.longitude_deg IS NOT NULL BEGIN
    DELETE FROM sensor_places WHERE number = old.number;
END;

-- Sensors from before, from their documents.
INSERT INTO sensors_new (id, name, revision, status, kind, unit, value_number, created_at_ms, updated_at_ms, longitude_deg,
    latitude_deg, document)
SELECT id, name, revision, status, document ->> '$.kind', document ->> '$.unit',
    CASE WHEN json_type(document, '$.value') IN ('integer', 'real') THEN document ->> '$.value' END,
    unixepoch(document ->> '$.created_at') * 1000 + substr(document ->> '$.created_at', 21, 3),
    unixepoch(document ->> '$.updated_at') * 1000 + substr(document ->> '$.updated_at', 21, 3),
    document ->> '$.location.coordinates[0]', document ->> '$.location.coordinates[1]', document
FROM sensors ORDER BY id;

DROP TABLE sensors;
ALTER TABLE sensors_new RENAME TO sensors;
