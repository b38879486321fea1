//! The SQL of the list. It depends on what is asked for, so it is put together here, and nowhere else: from the texts below,
//! with every value bound.
//!
//! One index leads, the other conditions are checked row by row. Which index is decided here and not by SQLite, which
//! knows nothing of how many rows a value has: see [`Lead`].

use sqlx::{QueryBuilder, Sqlite};

use crate::domain::{
    Filter, Label, Listing, NamePattern, Position, Rectangle, SortKey, Start, Status, Timestamp, finite_number,
    number_text,
};

/// A condition that fewer sensors meet than this is rare: it is looked up by its index.
const COMMON: u32 = 1_000;
/// So is one that fewer than one sensor in so many meets: enough for a page of those would be found only among many others.
const COMMON_SHARE: u32 = 100;

type Sql = QueryBuilder<Sqlite>;

/// What a sensor has to meet.
#[derive(Debug)]
pub(super) enum Condition<'a> {
    Name(&'a NamePattern),
    Kind(&'a Label),
    Unit(&'a Label),
    Status(Status),
    Value(Option<f64>, Option<f64>),
    UpdatedSince(Timestamp),
    Metadata(&'a str, Vec<Member>),
    Area(Vec<Rectangle>),
}

/// A value that a member of metadata may have.
#[derive(Debug)]
pub(super) enum Member {
    Text(String),
    /// In the spelling that documents have.
    Number(String),
}

/// What the rows are found by.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lead<'a> {
    /// The index of this condition; they are sorted afterwards where it has another order.
    Condition(&'a Condition<'a>),
    /// The index of the order: from the start on, until there are enough.
    Order(SortKey),
}

impl<'a> Condition<'a> {
    /// All conditions of a list. That of a circle holds for its rectangles: distances are not for SQL.
    pub(super) fn all(listing: &'a Listing) -> Vec<Self> {
        let Filter {
            name,
            kind,
            unit,
            status,
            metadata,
            value_min,
            value_max,
            updated_since,
            bbox,
            near,
        } = &listing.filter;
        let mut all: Vec<_> = metadata
            .iter()
            .map(|(key, value)| Self::Metadata(key, Member::all(value)))
            .collect();
        all.extend(name.as_ref().map(Self::Name));
        all.extend(near.map(|circle| Self::Area(circle.rectangles())));
        all.extend(bbox.map(|bbox| Self::Area(bbox.rectangles())));
        all.extend(kind.as_ref().map(Self::Kind));
        all.extend(unit.as_ref().map(Self::Unit));
        if value_min.is_some() || value_max.is_some() || listing.order.by == SortKey::Value {
            all.push(Self::Value(*value_min, *value_max));
        }
        all.extend(updated_since.map(Self::UpdatedSince));
        all.extend(status.map(Self::Status));
        all
    }

    /// The order in which its index has the sensors that meet it, in each of its places.
    pub(super) const fn order(&self) -> Option<SortKey> {
        match self {
            Self::Name(_) => Some(SortKey::Name),
            Self::Kind(_) | Self::Unit(_) | Self::Status(_) | Self::Metadata(..) => Some(SortKey::Id),
            Self::Value(..) => Some(SortKey::Value),
            Self::UpdatedSince(_) => Some(SortKey::UpdatedAt),
            Self::Area(_) => None,
        }
    }

    /// In how many places of its index the sensors are that meet it.
    fn places(&self) -> usize {
        match self {
            Self::Metadata(_, values) => values.len(),
            _ => 1,
        }
    }

    /// From all of its places, or from one of them.
    fn push_source(&self, sql: &mut Sql, place: Option<usize>) {
        match self {
            Self::Name(_) => sql.push("sensors INDEXED BY sensors_by_name"),
            Self::Kind(_) => sql.push("sensors INDEXED BY sensors_by_kind"),
            Self::Unit(_) => sql.push("sensors INDEXED BY sensors_by_unit"),
            Self::Status(_) => sql.push("sensors INDEXED BY sensors_by_status"),
            Self::Value(..) => sql.push("sensors INDEXED BY sensors_by_value"),
            Self::UpdatedSince(_) => sql.push("sensors INDEXED BY sensors_by_change"),
            Self::Metadata(key, values) => {
                sql.push(
                    "sensor_metadata AS found INDEXED BY metadata_by_value CROSS JOIN sensors ON sensors.id = found.sensor_id",
                );
                push_metadata(sql, "found", key, place.map_or(values, |place| &values[place..=place]))
            }
            Self::Area(rectangles) => {
                // Not as a join: rectangles may overlap.
                sql.push("sensors NOT INDEXED");
                push_places(sql.push(" WHERE number IN ("), "number", rectangles).push(")");
                return;
            }
        };
        sql.push(" WHERE 1");
    }

    fn push_check(&self, sql: &mut Sql) {
        match self {
            Self::Name(NamePattern::Exact(name)) => sql.push(" AND name = ").push_bind(name.as_str().to_owned()),
            Self::Name(NamePattern::Prefix(prefix)) => {
                sql.push(" AND name >= ").push_bind(prefix.clone());
                sql.push(" AND name < ").push_bind(after_all_with(prefix))
            }
            Self::Kind(kind) => sql.push(" AND kind = ").push_bind(kind.as_str().to_owned()),
            Self::Unit(unit) => sql.push(" AND unit = ").push_bind(unit.as_str().to_owned()),
            Self::Status(status) => sql.push(" AND status = ").push_bind(status.as_str()),
            Self::Value(least, most) => {
                sql.push(" AND value_number >= ").push_bind(least.unwrap_or(f64::MIN));
                sql.push(" AND value_number <= ").push_bind(most.unwrap_or(f64::MAX))
            }
            Self::UpdatedSince(instant) => sql.push(" AND updated_at_ms >= ").push_bind(instant.unix_ms()),
            Self::Metadata(key, values) => {
                sql.push(" AND EXISTS (SELECT 1 FROM sensor_metadata AS other WHERE other.sensor_id = sensors.id");
                push_metadata(sql, "other", key, values).push(")")
            }
            Self::Area(rectangles) => {
                let mut join = " AND (";
                for area in rectangles {
                    sql.push(join).push("longitude_deg BETWEEN ").push_bind(area.west_deg);
                    sql.push(" AND ").push_bind(area.east_deg);
                    sql.push(" AND latitude_deg BETWEEN ").push_bind(area.south_deg);
                    sql.push(" AND ").push_bind(area.north_deg);
                    join = " OR ";
                }
                sql.push(")")
            }
        };
    }
}

impl Member {
    /// What a text in a query stands for: what is written like a number may be a text as well.
    fn all(text: &str) -> Vec<Self> {
        let number = finite_number(text).map(number_text).map(Self::Number);
        [Self::Text(text.to_owned())].into_iter().chain(number).collect()
    }
}

impl Lead<'_> {
    fn places(&self) -> usize {
        match self {
            Self::Condition(condition) => condition.places(),
            Self::Order(_) => 1,
        }
    }

    fn push_source(&self, sql: &mut Sql, place: Option<usize>) {
        match self {
            Self::Condition(condition) => condition.push_source(sql, place),
            Self::Order(key) => {
                let index = match key {
                    SortKey::Id => "sensors_by_id",
                    SortKey::Name => "sensors_by_name",
                    SortKey::CreatedAt => "sensors_by_creation",
                    SortKey::UpdatedAt => "sensors_by_change",
                    SortKey::Value => "sensors_by_value",
                };
                sql.push("sensors INDEXED BY ").push(index).push(" WHERE 1");
            }
        }
    }

    /// The id in what it finds: where metadata leads, the column that its index is sorted by.
    const fn id(&self) -> &'static str {
        match self {
            Self::Condition(Condition::Metadata(..)) => "found.sensor_id",
            _ => "sensors.id",
        }
    }
}

/// The columns of an order: two sensors never have the same in both.
const fn columns(key: SortKey) -> (&'static str, Option<&'static str>) {
    match key {
        SortKey::Id => ("id", None),
        SortKey::Name => ("name", None),
        SortKey::CreatedAt => ("created_at_ms", Some("id")),
        SortKey::UpdatedAt => ("updated_at_ms", Some("revision")),
        SortKey::Value => ("value_number", Some("id")),
    }
}

/// How many sensors meet each condition, one column a condition: NULL where it is common, further than which nobody counts.
pub(super) fn probe(conditions: &[Condition<'_>]) -> Sql {
    // The greatest number tells how many sensors there are at most, and is at hand; there is none without any.
    let mut sql = Sql::new("WITH common (rows) AS (SELECT max(");
    sql.push_bind(COMMON)
        .push(", coalesce(max(number), 0) / ")
        .push_bind(COMMON_SHARE);
    let mut join = ") FROM sensors) SELECT ";
    for condition in conditions {
        sql.push(join)
            .push("(SELECT nullif(count(*), (SELECT rows FROM common)) FROM (");
        match condition {
            Condition::Area(rectangles) => {
                push_places(&mut sql, "1", rectangles);
            }
            Condition::Metadata(key, values) => {
                sql.push("SELECT 1 FROM sensor_metadata AS found WHERE 1");
                push_metadata(&mut sql, "found", key, values);
            }
            other => {
                sql.push("SELECT 1 FROM ");
                other.push_source(&mut sql, None);
                other.push_check(&mut sql);
            }
        }
        sql.push(" LIMIT (SELECT rows FROM common)))");
        join = ", ";
    }
    sql
}

/// The page: `rows` sensors at most, from the start on (backwards when it ends there), each with the head of the store; one
/// row without a sensor when there is none. One statement is one snapshot.
pub(super) fn page(
    listing: &Listing,
    conditions: &[Condition<'_>],
    lead: Lead<'_>,
    count_lead: Option<Lead<'_>>,
    rows: u32,
) -> Sql {
    let mut sql = Sql::new("SELECT store.head, ");
    match count_lead {
        Some(count_lead) => {
            sql.push("(SELECT count(*) FROM ");
            count_lead.push_source(&mut sql, None);
            push_checks(&mut sql, conditions, count_lead);
            sql.push(")");
        }
        None => {
            sql.push("NULL");
        }
    }
    let backwards = matches!(listing.start, Some(Start::Before(_)));
    let direction = if listing.order.descending == backwards {
        " ASC"
    } else {
        " DESC"
    };
    let mut join = " AS total, page.* FROM store LEFT JOIN (SELECT ";
    // Each place has the order of the index, so that SQLite has only to merge them.
    for place in 0..lead.places() {
        sql.push(join).push(lead.id()).push(
            " AS id, name, revision, status, document, created_at_ms, updated_at_ms, value_number, longitude_deg, latitude_deg FROM ",
        );
        lead.push_source(&mut sql, Some(place));
        push_checks(&mut sql, conditions, lead);
        push_start(&mut sql, listing, lead);
        join = " UNION ALL SELECT ";
    }
    push_order(sql.push(" ORDER BY "), "", listing.order.by, direction);
    sql.push(" LIMIT ").push_bind(rows).push(") AS page ORDER BY ");
    push_order(&mut sql, "page.", listing.order.by, direction);
    sql
}

fn push_order(sql: &mut Sql, table: &'static str, key: SortKey, direction: &'static str) {
    let (first, second) = columns(key);
    sql.push(table).push(first).push(direction);
    if let Some(second) = second {
        sql.push(", ").push(table).push(second).push(direction);
    }
}

/// The positions of all sensors that meet the conditions.
pub(super) fn positions(conditions: &[Condition<'_>], lead: Lead<'_>) -> Sql {
    let mut sql = Sql::new("SELECT longitude_deg, latitude_deg FROM ");
    lead.push_source(&mut sql, None);
    push_checks(&mut sql, conditions, lead);
    sql
}

fn push_checks(sql: &mut Sql, conditions: &[Condition<'_>], lead: Lead<'_>) {
    for condition in conditions {
        let is_met =
            matches!(lead, Lead::Condition(leading @ Condition::Metadata(..)) if std::ptr::eq(leading, condition));
        if !is_met {
            condition.push_check(sql);
        }
    }
}

fn push_start(sql: &mut Sql, listing: &Listing, lead: Lead<'_>) {
    let Some(start) = &listing.start else { return };
    let column = |name| if name == "id" { lead.id() } else { name };
    let (first, second) = columns(listing.order.by);
    let (first, second) = (column(first), second.map(column));
    let backwards = matches!(start, Start::Before(_));
    let comparison = if listing.order.descending == backwards {
        " > "
    } else {
        " < "
    };
    match second {
        None => sql.push(" AND ").push(first).push(comparison),
        Some(second) => {
            sql.push(" AND (").push(first).push(", ").push(second);
            sql.push(")").push(comparison).push("(")
        }
    };
    match start.position() {
        Position::Id(id) => sql.push_bind(id.to_string()),
        Position::Name(name) => sql.push_bind(name.as_str().to_owned()),
        Position::CreatedAt(at, id) => sql.push_bind(at.unix_ms()).push(", ").push_bind(id.to_string()),
        Position::UpdatedAt(at, revision) => sql.push_bind(at.unix_ms()).push(", ").push_bind(revision.get()),
        Position::Value(value, id) => sql.push_bind(*value).push(", ").push_bind(id.to_string()),
    };
    if second.is_some() {
        sql.push(")");
    }
}

fn push_metadata<'s>(sql: &'s mut Sql, table: &'static str, key: &str, values: &[Member]) -> &'s mut Sql {
    sql.push(" AND ").push(table).push(".key = ").push_bind(key.to_owned());
    sql.push(" AND ").push(table).push(".value ");
    let mut join = "IN (";
    for value in values {
        sql.push(join);
        match value {
            Member::Text(text) => sql.push_bind(text.clone()),
            // SQLite read the one in the table from the document, and beyond some 1e±100 it is off by units in the last place: so it
            // has to read this one as well. In `IN` a cast has no affinity, with which texts would be compared as numbers.
            Member::Number(text) => sql.push("CAST(").push_bind(text.clone()).push(" AS REAL)"),
        };
        join = ", ";
    }
    sql.push(")")
}

fn push_places<'s>(sql: &'s mut Sql, column: &'static str, rectangles: &[Rectangle]) -> &'s mut Sql {
    let mut join = "SELECT ";
    for area in rectangles {
        sql.push(join)
            .push(column)
            .push(" FROM sensor_places WHERE east >= ")
            .push_bind(area.west_deg);
        sql.push(" AND west <= ").push_bind(area.east_deg);
        sql.push(" AND north >= ").push_bind(area.south_deg);
        sql.push(" AND south <= ").push_bind(area.north_deg);
        join = " UNION ALL SELECT ";
    }
    sql
}

/// The first text after all that begin with `prefix`, which is ASCII without DEL.
fn after_all_with(prefix: &str) -> String {
    let mut bytes = prefix.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    String::from_utf8(bytes).unwrap_or_default()
}
