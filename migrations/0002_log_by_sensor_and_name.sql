-- What the log over HTTP selects by.

-- The name of the sensor after the change, or its last one when the change deleted it. An event does not always carry it.
ALTER TABLE events ADD COLUMN name TEXT NOT NULL DEFAULT '';
-- The name before the change, where that gave it another: who follows names has to see a sensor leave, too.
ALTER TABLE events ADD COLUMN former_name TEXT;

-- A sensor's own log is read without passing over everybody else's. The revision is in every entry, after the id.
CREATE INDEX events_of_sensor ON events (sensor_id);

-- Events from before: the name that they tell or that the sensor has now; where neither is known they have none.
UPDATE events SET name = coalesce(
    payload ->> '$.state.name',
    payload ->> '$.changes.name',
    (SELECT name FROM sensors WHERE id = sensor_id),
    ''
);
