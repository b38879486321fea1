#!/usr/bin/env python3
"""Keeps an exact mirror of the sensors of a service: REST for the baseline, MQTT for the changes.

    python3 -m venv venv && venv/bin/pip install 'paho-mqtt>=2,<3'
    venv/bin/python3 mirror.py [URL [BROKER]]

URL is http://localhost:8000 by default, BROKER (mqtt://user:password@host:1883) the one that the service names.
Standard output has a line for each event, standard error all else: what was loaded, and what is in the way.

* Subscribe first, then read the list, then apply the events after the revision of its FIRST page.
* Revisions are dense: an event that is not the next one shows a gap. Silence after any message, the retained head on
  the topic `sensors` included, is when to look for a lost tail. The head comes every 5 s: without it, look now and then.
* MQTT only hints, the log decides: GET /events?after= fills a gap, and 410 means that the list is to be read again.
"""
import argparse, json, queue, sys, time, urllib.error, urllib.request
from urllib.parse import unquote, urlsplit
import paho.mqtt.client as mqtt

SILENCE_LIMIT_S = 3  # how long nothing may come after a message before the log is asked
NO_HEAD_LIMIT_S = 10  # how long after that, and from the beginning: nobody may tell us anything


class StartOver(Exception):
    """What is held leads nowhere."""


def get(url):
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:  # 400: the database file is an older copy
        raise StartOver(url) if error.code in (400, 410) else error


def find(document, rel):
    return next((link for link in document["links"] if link["rel"] == rel), {})


def merge_patch(target, patch):  # RFC 7396
    if not isinstance(patch, dict):
        return patch
    kept = target if isinstance(target, dict) else {}
    merged = {**kept, **{name: merge_patch(kept.get(name), value) for name, value in patch.items()}}
    return {name: value for name, value in merged.items() if value is not None}


class Mirror:
    def __init__(self, url="http://localhost:8000", broker=None):
        self.url, self.broker, self.sensors = url, broker, {}  # what a GET returns, by id
        self.epoch, self.revision = None, 0  # every event up to here is in
        self.settles_at = 0  # from this revision on the mirror is exact

    def run(self):
        while True:
            try:
                self.follow()
            except StartOver:
                self.epoch = None
            except Exception as error:  # somebody is away, silent, or talks nonsense
                print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            time.sleep(0.5)

    def follow(self):
        """One connection: subscribes, reads what is needed, follows the events until something is in the way."""
        entry, messages = get(self.url), queue.Queue(10_000)
        self.events, monitor = find(entry, "events")["href"], find(entry, "monitor")
        broker, topic = urlsplit(self.broker or monitor["href"]), monitor["topic"]
        hold = lambda item: messages.full() or messages.put(item)  # what does not fit is found missing
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, reconnect_on_failure=False)
        client.on_connect = lambda *_: client.subscribe([(topic, 1), (topic.removesuffix("/+"), 1)])
        client.on_subscribe = lambda *_: hold("subscribed")
        client.on_message = lambda _client, _data, message: hold(message.payload)
        if broker.username:
            client.username_pw_set(unquote(broker.username), unquote(broker.password or ""))
        if broker.scheme == "mqtts":
            client.tls_set()
        client.connect(broker.hostname, broker.port or (8883 if broker.scheme == "mqtts" else 1883), keepalive=5)
        client.loop_start()
        try:
            while messages.get(timeout=10) != "subscribed":
                pass  # what comes before is in the list
            if self.epoch is None:
                self.load(find(entry, "collection")["href"])
            self.catch_up()
            self.take(client, messages)
        finally:
            client.disconnect()
            client.loop_stop()

    def load(self, collection):
        page = get(collection + "?limit=500")
        epoch, revision, sensors = page["epoch"], page["revision"], {}
        while page:
            if page["epoch"] != epoch:
                raise StartOver("the store was replaced")
            sensors.update((sensor["id"], sensor) for sensor in page["items"])
            self.settles_at = page["revision"]
            page = find(page, "next") and get(find(page, "next")["href"])
        self.sensors, self.epoch, self.revision = sensors, epoch, revision
        print(f"{len(sensors)} sensors at revision {revision}", file=sys.stderr, flush=True)

    def catch_up(self):
        """Reads the log from where the mirror is to its head."""
        while (page := get(f"{self.events}?after={self.epoch}.{self.revision}"))["events"]:
            if not all(self.apply(event) for event in page["events"]):
                raise StartOver("the log does not fit")

    def take(self, client, messages):
        """Takes what comes over one connection."""
        ask_at = time.monotonic() + NO_HEAD_LIMIT_S
        while client.is_connected():
            try:
                message = json.loads(messages.get(timeout=0.5))
                ask_at = time.monotonic() + SILENCE_LIMIT_S
                if "event" in message and not self.apply(message):
                    self.catch_up()
            except queue.Empty:
                if time.monotonic() > ask_at:
                    self.catch_up()
                    ask_at = time.monotonic() + NO_HEAD_LIMIT_S

    def apply(self, event):
        """Whether the event is in; if not, events before it are missing, or it is of another epoch."""
        if event["epoch"] != self.epoch or event["revision"] > self.revision + 1:
            return False
        if event["revision"] <= self.revision:
            return True  # a repeat
        id, held = event["sensor"], self.sensors.get(event["sensor"], {})
        if held.get("revision", 0) < event["revision"]:  # else a page that was read later has it
            # A sensor may be missing that was deleted before its page was read: the event of that comes.
            if held.get("revision") != event.get("previous") and (held or self.revision >= self.settles_at):
                raise StartOver("an event does not fit")
            if "state" in event:
                self.sensors[id] = event["state"]
            elif event["event"] == "deleted":
                self.sensors.pop(id, None)
            elif held:
                self.sensors[id] = merge_patch(held, event["changes"])
        self.revision = event["revision"]
        print(f"{self.revision} {event['event']} {id}: {len(self.sensors)} sensors", flush=True)
        return True


def url_of(*schemes):
    def url(text):
        if urlsplit(text).scheme in schemes and urlsplit(text).hostname:
            return text
        raise argparse.ArgumentTypeError(f"{schemes[0]}:// or {schemes[1]}:// with a host is allowed")

    return url


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", metavar="URL", nargs="?", default="http://localhost:8000", type=url_of("http", "https"))
    parser.add_argument("broker", metavar="BROKER", nargs="?", type=url_of("mqtt", "mqtts"))
    try:
        Mirror(**vars(parser.parse_args())).run()
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell tells it
