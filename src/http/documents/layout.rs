//! What every page has: a head, a way to the other pages, and words with `code` in them.

use actix_web::HttpResponse;
use maud::{DOCTYPE, Markup, html};

/// A page; `root` leads from it to the root of the service, e.g. `../`, so that no page depends on `PUBLIC_URL`.
#[must_use]
pub fn page(root: &str, title: &str, content: &Markup) -> HttpResponse {
    answer(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (head(title))
                meta name="color-scheme" content="light dark";
                link rel="stylesheet" href={ (root) "docs/style.css" };
            }
            body {
                header {
                    a.brand href={ (root) "docs" } { "sensorcast" }
                    nav {
                        a href={ (root) "docs/rest/" } { "REST" }
                        a href={ (root) "docs/events" } { "Events" }
                    }
                }
                main { (content) }
                footer { "sensorcast " (env!("CARGO_PKG_VERSION")) }
            }
        }
    })
}

/// What the head of every page begins with, Swagger UI included.
#[must_use]
pub fn head(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        title { (title) " · sensorcast" }
        // Otherwise a browser asks for /favicon.ico.
        link rel="icon" href="data:,";
    }
}

/// The answer that is a page.
#[must_use]
pub fn answer(page: Markup) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(page.into_string())
}

/// A text of our own in which backticks mean code and an empty line a new paragraph.
#[must_use]
pub fn paragraphs(text: &str) -> Markup {
    html! {
        @for paragraph in text.split("\n\n") {
            p { (words(paragraph)) }
        }
    }
}

/// One paragraph without its frame.
#[must_use]
pub fn words(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_escaped_and_backticks_are_code() {
        let markup = paragraphs("a <b> `c & d`\n\ne").into_string();
        assert_eq!(markup, "<p>a &lt;b&gt; <code>c &amp; d</code></p><p>e</p>");
    }
}
