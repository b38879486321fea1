// A program against the types that openapi-typescript makes of the document: that it compiles is the test, and then it runs.
import { deepStrictEqual as equal } from "node:assert";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.ts";

type Location = components["schemas"]["SensorLocation"];

const client = createClient<paths>({ baseUrl: process.env.SERVICE_URL });

// With an altitude and without one.
const low: Location = { type: "Point", coordinates: [12.4924, 41.8902] };
const high: Location = { type: "Point", coordinates: [12.4924, 41.8902, 21] };

const made = await client.POST("/sensors", { body: { name: "typed", unit: "Cel", location: low } });
const sensor = made.data!;
const revision: number = sensor.revision;
equal(sensor.location, low);

const path = { sensor: "typed" };
const merge = "application/merge-patch+json";
const patched = await client.PATCH("/sensors/{sensor}", {
    params: { path, header: { "If-Match": made.response.headers.get("etag")! } },
    body: { location: { coordinates: high.coordinates }, unit: null },
    headers: { "Content-Type": merge },
});
equal([patched.data?.location, patched.data?.unit], [high, undefined]);

const late = await client.PATCH("/sensors/{sensor}", {
    params: { path, header: { "If-Match": made.response.headers.get("etag")! } },
    body: { location: null },
    headers: { "Content-Type": merge },
});
equal(late.error?.status, 412);

const batch = await client.POST("/batch", {
    body: {
        atomic: true,
        operations: [
            { method: "PATCH", path: "/sensors/typed", headers: { "If-Match": "*" }, body: { value: 1 } },
            { method: "DELETE", path: "/sensors/typed", body: null },
        ],
    },
});
const [first, second] = batch.data!.outcomes;
const tag: string | undefined = first!.headers.etag;
equal([typeof tag, second!.status], ["string", 204]);
equal(first!.body && "value" in first!.body && first!.body.value, 1);

// Of the forms that these can have.
const reader = createClient<paths, "application/json">({ baseUrl: process.env.SERVICE_URL });

const list = await reader.GET("/sensors");
equal(list.data!.items.map((item) => item.name), []);

const log = await reader.GET("/events");
const kinds: ("created" | "modified" | "deleted")[] = log.data!.events.map(({ event }) => event);
equal(kinds, ["created", "modified", "modified", "deleted"]);
equal(log.data!.events[2]!.changes?.value, 1);
equal(log.data!.events[0]!.revision, revision);
