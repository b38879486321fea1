-- What a sensor was is read from its log: from the last state that is kept with an event, or from its oldest event. One event
-- in some keeps it, so that the way is short however long the log is, and the log hardly longer.
ALTER TABLE events ADD COLUMN state TEXT;
CREATE INDEX states_of_sensor ON events (sensor_id) WHERE state IS NOT NULL;
