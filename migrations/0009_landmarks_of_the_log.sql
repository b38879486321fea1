-- Each event names the one before it of its sensor, so a sensor's own log is a chain, read from any of its events back. An entry
-- for every event, somewhere in the middle of an index, was a third of what a write cost, and more the longer the log was.
DROP INDEX events_of_sensor;
DROP INDEX states_of_sensor;

CREATE VIEW links_of_events AS SELECT revision, payload ->> '$.previous' AS previous FROM events;

-- Where a chain is begun at, beside the revision that its sensor has: its events that keep the state, so that the way is short
-- however long the log is, and those that deleted it, which a later life under the same id does not lead to.
CREATE INDEX landmarks_of_sensor ON events (sensor_id) WHERE state IS NOT NULL OR kind = 'deleted';
CREATE VIEW landmarks AS SELECT sensor_id, revision FROM events INDEXED BY landmarks_of_sensor
    WHERE state IS NOT NULL OR kind = 'deleted';
