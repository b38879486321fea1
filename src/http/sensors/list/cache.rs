//! The cache of pages of the list. A page depends only on the revision of the store, the query and the format of the answer, and
//! these are its key: so no page in the cache is ever stale.

use std::sync::Arc;

use actix_web::http::header::HeaderValue;
use bytes::Bytes;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::domain::Revision;
use crate::http::variant::Form;

/// The most bytes of pages that are kept.
const MAX_BYTES: u64 = 16 << 20;
/// What a page takes besides its body, in bytes, roughly.
const OVERHEAD_BYTES: u64 = 256;
/// How many pages there may be, roughly: some 50 sensors each.
const EXPECTED_PAGES: usize = 500;

/// The pages that are kept, for all threads; cheap to clone.
#[derive(Debug, Clone)]
pub struct PageCache(Arc<Cache<PageKey, RenderedPage, Bytewise>>);

/// What a page depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageKey {
    /// The revision of the store, from the snapshot in which the page was read.
    pub head: Revision,
    /// The format of the answer.
    pub form: Form,
    /// The query, in its canonical spelling.
    pub query: String,
}

/// A page as it is sent.
#[derive(Debug, Clone)]
pub struct RenderedPage {
    /// The body.
    pub body: Bytes,
    /// The header `Link` (RFC 8288).
    pub link: HeaderValue,
}

impl PageCache {
    /// Without any page.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Cache::with_weighter(EXPECTED_PAGES, MAX_BYTES, Bytewise)))
    }

    /// The page, if it is kept.
    #[must_use]
    pub fn get(&self, key: &PageKey) -> Option<RenderedPage> {
        self.0.get(key)
    }

    /// Keeps a page, in the place of those that were not asked for lately.
    pub fn insert(&self, key: PageKey, page: RenderedPage) {
        self.0.insert(key, page);
    }
}

impl Default for PageCache {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Debug, Clone)]
struct Bytewise;

impl Weighter<PageKey, RenderedPage> for Bytewise {
    fn weight(&self, key: &PageKey, page: &RenderedPage) -> u64 {
        let bytes = key.query.len() + page.body.len() + page.link.len();
        OVERHEAD_BYTES + u64::try_from(bytes).unwrap_or(u64::MAX / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_no_more_bytes_than_it_may() {
        let cache = PageCache::new();
        let link = HeaderValue::from_static("<>; rel=\"first\"");
        for revision in 0..100 {
            let key = PageKey {
                head: Revision::new(revision),
                form: Form::Json,
                query: "limit=500".to_owned(),
            };
            let body = Bytes::from(vec![b' '; 1 << 20]);
            cache.insert(
                key.clone(),
                RenderedPage {
                    body,
                    link: link.clone(),
                },
            );
            assert!(cache.0.weight() <= MAX_BYTES);
        }
        assert!(!cache.0.is_empty());
    }
}
