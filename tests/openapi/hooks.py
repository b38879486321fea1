"""What a JSON Schema cannot say of a body: such a body is left out, because the document cannot tell whether it is valid."""

import re
import uuid

import schemathesis

MAX_LABEL_BYTES = 64
MAX_VALUE_BYTES = 1024
MAX_INTEGER = 2**53
NOT_PLAIN = re.compile("[\u0000-\u001f\u007f-\u009f\ufdd0-\ufdef\ufffe\uffff]")


@schemathesis.hook
def filter_body(context, body):
    members = body.items() if isinstance(body, dict) else [("value", body)]
    return all(is_decided(name, member) for name, member in members)


@schemathesis.hook
def map_body(context, body):
    """Longitude and latitude are bounded in words."""
    location = body.get("location") if isinstance(body, dict) else None
    position = location.get("coordinates") if isinstance(location, dict) else None
    if isinstance(position, list):
        for place, (limit, degrees) in enumerate(zip((180, 90), position)):
            if isinstance(degrees, (int, float)) and not isinstance(degrees, bool):
                position[place] = min(max(degrees, -limit), limit)
    return body


def is_decided(name, member):
    if isinstance(member, str):
        longest = MAX_LABEL_BYTES if name in ("kind", "unit") else MAX_VALUE_BYTES
        # The schema counts characters, the service bytes.
        return len(member.encode()) <= longest or len(member) > longest
    return all(is_small(scalar) if isinstance(scalar, int) else is_plain(scalar) for scalar in scalars(member))


def scalars(json):
    """The integers and the texts in a JSON value, names of members included."""
    if isinstance(json, dict):
        return [*json, *(scalar for member in json.values() for scalar in scalars(member))]
    if isinstance(json, list):
        return [scalar for element in json for scalar in scalars(element)]
    return [json] if isinstance(json, (int, str)) else []


def is_small(integer):
    # To JSON Schema 1e300 is an integer, too, which the service takes.
    return abs(integer) <= MAX_INTEGER


def is_plain(text):
    # The schema tells it of texts in metadata, but not of those that are nested there.
    return not NOT_PLAIN.search(text)


@schemathesis.hook
def map_case(context, case):
    """A PUT that means the sensor in its path; otherwise nearly all of them would contradict it and be refused."""
    if case.operation.definition.raw.get("operationId") == "replaceSensor" and is_valid(case):
        sensor = case.path_parameters["sensor"]
        case.body.pop("id", None)
        if is_uuid(sensor):
            case.body.setdefault("name", f"sensor-{sensor[:8]}")
        else:
            case.body["name"] = sensor
    return case


@schemathesis.hook
def before_call(context, case, kwargs):
    """No long poll of a minute, of which there would be many: what is a valid time is cut to a second."""
    # A key belongs to one request: the same one again is the same request or a mistake.
    key = (case.headers or {}).get("Idempotency-Key")
    # What is meant to be valid does not always keep to the pattern.
    if isinstance(key, str) and (is_positive(case) or re.fullmatch(r'"[A-Za-z0-9._:-]{1,255}"', key)):
        case.headers["Idempotency-Key"] = f'"{uuid.uuid4()}"'
    query = case.query if isinstance(case.query, dict) else {}
    if str(query.get("wait")) in (str(seconds) for seconds in range(2, 61)):
        query["wait"] = 1


def is_valid(case):
    return is_positive(case) and isinstance(case.body, dict)


def is_positive(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


def is_uuid(text):
    return len(text) == 36 and [len(part) for part in text.split("-")] == [8, 4, 4, 4, 12]


@schemathesis.hook
def filter_query(context, query):
    """What a JSON Schema cannot say of the list's query: which parameters contradict each other, and what a text holds."""
    operation = context.operation.definition.raw.get("operationId", "")
    return operation not in ("listSensors", "headListSensors") or is_consistent(query or {})


def is_consistent(query):
    cursor = re.sub("^[a-z2-7]{8}[.]", "", str(query.get("cursor", "")))
    place = cursor.removeprefix("before~").split("~")
    if "cursor" in query and place[0] != str(query.get("sort", "id")).removeprefix("-"):
        return False
    if place[0] in ("id", "created_at", "value") and not is_uuid(place[-1]):
        return False
    if "radius_m" in query and "near" not in query:
        return False
    if "value_min" in query and "value_max" in query:
        return False
    fields = str(query.get("fields", "")).split(",")
    if len(set(fields)) < len(fields):
        return False
    edges = str(query.get("bbox", "0,0,0,0")).split(",")
    if len(edges) == 4 and is_number(edges[1]) and is_number(edges[3]) and float(edges[1]) > float(edges[3]):
        return False
    return all(len(str(query[name]).encode()) <= MAX_LABEL_BYTES for name in ("kind", "unit") if name in query)


def is_number(text):
    return text.replace(".", "", 1).removeprefix("-").isdecimal()
