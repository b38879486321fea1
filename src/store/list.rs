use sqlx::{FromRow, Row, SqliteExecutor};

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;

use super::row::{SensorRow, damaged};
use super::select::{self, Condition, Lead};
use super::{Record, Store, StoreError};
use crate::domain::{Circle, Listing, Position, Revision, SortKey, Start, Timestamp};
use crate::wire::link::LinkBase;

/// A page, of sensors or of events, ends after the one with which it has as much JSON as this: as XML it may be many times as long.
pub(super) const MAX_PAGE_BYTES: usize = 2 << 20;

/// A page of sensors.
#[derive(Debug, Clone)]
pub struct Page {
    /// The newest revision when the page was read.
    pub head: Revision,
    /// The sensors, in the order asked for. There may be fewer than the limit, even none, with a next page all the same,
    /// where a circle was asked for; and fewer where they are large.
    pub records: Vec<Record>,
    /// How many sensors the filter lets through, when it was asked.
    pub count: Option<u64>,
    /// Where the page before this one ends, unless this is the first.
    pub previous: Option<Start>,
    /// Where the page after this one begins, unless this is the last.
    pub next: Option<Start>,
}

/// A row of the page. All but the first two are NULL in the one row of a page without sensors.
#[derive(FromRow)]
struct ListRow {
    head: i64,
    total: Option<i64>,
    id: Option<String>,
    name: Option<String>,
    revision: Option<i64>,
    status: Option<String>,
    document: Option<String>,
    created_at_ms: Option<i64>,
    updated_at_ms: Option<i64>,
    value_number: Option<f64>,
    longitude_deg: Option<f64>,
    latitude_deg: Option<f64>,
}

impl ListRow {
    fn position(&self, by: SortKey) -> Option<Position> {
        let id = || self.id.as_ref()?.parse().ok();
        let instant = |unix_ms: Option<i64>| Timestamp::from_unix_ms(unix_ms?);
        Some(match by {
            SortKey::Id => Position::Id(id()?),
            SortKey::Name => Position::Name(self.name.as_ref()?.parse().ok()?),
            SortKey::CreatedAt => Position::CreatedAt(instant(self.created_at_ms)?, id()?),
            SortKey::UpdatedAt => Position::UpdatedAt(instant(self.updated_at_ms)?, Revision::new(self.revision?)),
            SortKey::Value => Position::Value(self.value_number?, id()?),
        })
    }

    fn is_in(&self, circle: &Circle) -> bool {
        let position = self.longitude_deg.zip(self.latitude_deg);
        position.is_some_and(|(longitude_deg, latitude_deg)| circle.contains(longitude_deg, latitude_deg))
    }

    fn into_record(self, links: &LinkBase) -> Result<Record, StoreError> {
        let row = (self.id, self.name, self.revision, self.status, self.document);
        let (Some(id), Some(name), Some(revision), Some(status), Some(document)) = row else {
            return Err(damaged("a sensor without its columns"));
        };
        SensorRow {
            id,
            name,
            revision,
            status,
            document,
        }
        .record(links)
    }
}

impl Store {
    /// A page of sensors. It costs what its sensors and those cost that meet the rarest condition of its filter, where that is rare;
    /// where none is, what stands between its sensors in the order. It matters little where in the list it is.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(&self, listing: &Listing) -> Result<Page, StoreError> {
        let conditions = Condition::all(listing);
        let found = self.frequencies(listing, &conditions).await?;
        let lead = lead(listing, &conditions, &found);
        let count_lead = count_lead(&conditions, &found);
        let rows = rows(listing);
        let Some(circle) = listing.filter.near.filter(|_| listing.count) else {
            let count_lead = listing.count.then_some(count_lead);
            let mut sql = select::page(listing, &conditions, lead, count_lead, rows);
            let found = sql.build_query_as().fetch(&self.inner.reads);
            let page = self.page(listing, found).await?;
            self.announced(page.head).await?;
            return Ok(page);
        };
        let mut snapshot = self.snapshot().await?;
        let mut sql = select::page(listing, &conditions, lead, None, rows);
        let found = sql.build_query_as().fetch(&mut *snapshot);
        let mut page = self.page(listing, found).await?;
        page.count = Some(count_in(&circle, &mut *snapshot, &conditions, count_lead).await?);
        Ok(page)
    }

    /// How many sensors meet each condition; nothing where that is common or does not matter.
    pub(super) async fn frequencies(
        &self,
        listing: &Listing,
        conditions: &[Condition<'_>],
    ) -> Result<Vec<Option<u32>>, StoreError> {
        let matters = match conditions {
            [] => false,
            [only] => only.order() != Some(listing.order.by),
            _ => true,
        };
        if !matters {
            return Ok(vec![None; conditions.len()]);
        }
        let row = select::probe(conditions).build().fetch_one(&self.inner.reads).await?;
        let counts = (0..conditions.len()).map(|column| row.try_get(column));
        Ok(counts.collect::<Result<_, _>>()?)
    }

    /// Takes rows until the page is full; those behind are not read, but for some that sqlx reads ahead.
    async fn page(
        &self,
        listing: &Listing,
        mut rows: BoxStream<'_, sqlx::Result<ListRow>>,
    ) -> Result<Page, StoreError> {
        let Some(first) = rows.try_next().await? else {
            return Err(damaged("a store without its head"));
        };
        let by = listing.order.by;
        let mut page = Page {
            head: Revision::new(first.head),
            records: Vec::new(),
            count: first.total.map(i64::cast_unsigned),
            previous: None,
            next: None,
        };
        if first.id.is_none() {
            return Ok(page);
        }
        let limit = usize::try_from(listing.limit).unwrap_or(usize::MAX);
        let near_edge = first.position(by);
        let mut far_edge = None;
        let mut bytes = 0;
        let mut seen = 0;
        let mut next_row = Some(first);
        let goes_on = loop {
            let Some(row) = next_row else {
                break seen >= self::rows(listing);
            };
            if page.records.len() == limit || bytes >= MAX_PAGE_BYTES {
                break true;
            }
            seen += 1;
            far_edge = row.position(by);
            if listing.filter.near.is_none_or(|circle| row.is_in(&circle)) {
                let record = row.into_record(&self.inner.links)?;
                bytes += record.representation.len();
                page.records.push(record);
            }
            next_row = rows.try_next().await?;
        };
        let far_edge = far_edge.filter(|_| goes_on);
        match listing.start {
            None => page.next = far_edge.map(Start::After),
            Some(Start::After(_)) => {
                page.previous = near_edge.map(Start::Before);
                page.next = far_edge.map(Start::After);
            }
            Some(Start::Before(_)) => {
                page.records.reverse();
                page.previous = far_edge.map(Start::Before);
                page.next = near_edge.map(Start::After);
            }
        }
        Ok(page)
    }
}

/// How many rows are read for a page: one more than it shows, to see whether another follows; and with a circle, of whose
/// rectangles it fills some three quarters, twice as many.
pub(super) fn rows(listing: &Listing) -> u32 {
    let candidates = if listing.filter.near.is_some() { 2 } else { 1 };
    listing.limit * candidates + 1
}

/// What leads to the page with the least work: a rare condition; else one that has the order already; else the order.
pub(super) fn lead<'a>(listing: &Listing, conditions: &'a [Condition<'a>], found: &[Option<u32>]) -> Lead<'a> {
    let rare = rarest(conditions, found).filter(|(_, found)| found.is_some());
    let sorted = || {
        conditions
            .iter()
            .find(|condition| condition.order() == Some(listing.order.by))
    };
    rare.map(|(condition, _)| condition)
        .or_else(sorted)
        .map_or(Lead::Order(listing.order.by), Lead::Condition)
}

/// What finds all that the page is one of.
pub(super) fn count_lead<'a>(conditions: &'a [Condition<'a>], found: &[Option<u32>]) -> Lead<'a> {
    rarest(conditions, found).map_or(Lead::Order(SortKey::Id), |(condition, _)| Lead::Condition(condition))
}

fn rarest<'a>(conditions: &'a [Condition<'a>], found: &[Option<u32>]) -> Option<(&'a Condition<'a>, Option<u32>)> {
    let counted = conditions.iter().zip(found.iter().copied());
    counted.min_by_key(|(_, found)| found.unwrap_or(u32::MAX))
}

async fn count_in(
    circle: &Circle,
    executor: impl SqliteExecutor<'_>,
    conditions: &[Condition<'_>],
    lead: Lead<'_>,
) -> Result<u64, StoreError> {
    let mut sql = select::positions(conditions, lead);
    let positions = sql.build_query_as::<(f64, f64)>().fetch(executor);
    let inside = positions.try_fold(0, |count, (longitude_deg, latitude_deg)| async move {
        Ok(count + u64::from(circle.contains(longitude_deg, latitude_deg)))
    });
    Ok(inside.await?)
}
