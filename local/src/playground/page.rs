//! The page and its files.

use axum::{
    Router,
    extract::{Path, Request},
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{
            ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, VARY,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use shared::api::{ApiError, Reason};

use crate::own_page;

/// Nothing from elsewhere, nothing inline. Pictures are also those that the page draws.
const POLICY: &str = "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

/// A file of the page: its name, its type, its content.
type File = (&'static str, &'static str, &'static str);

macro_rules! files {
    ($($name:literal: $type:expr),* $(,)?) => {
        [$(($name, $type, include_str!(concat!("../../playground/page/", $name)))),*]
    };
}

const INDEX: &str = include_str!("../../playground/page/index.html");

/// What the page loads, from `local/playground/page`.
const FILES: [File; 26] = files![
    "breaker.js": SCRIPT,
    "code.js": SCRIPT,
    "dom.js": SCRIPT,
    "exchanges.js": SCRIPT,
    "http.js": SCRIPT,
    "icon.svg": SVG,
    "language.js": SCRIPT,
    "limits.js": SCRIPT,
    "live.js": SCRIPT,
    "log.js": SCRIPT,
    "main.js": SCRIPT,
    "messages.js": SCRIPT,
    "phone-actions.js": SCRIPT,
    "phone.js": SCRIPT,
    "picture.js": SCRIPT,
    "plot.js": SCRIPT,
    "rate-limit-fields.js": SCRIPT,
    "rows.js": SCRIPT,
    "session.js": SCRIPT,
    "status.js": SCRIPT,
    "store.js": SCRIPT,
    "style.css": CSS,
    "tabs.js": SCRIPT,
    "theme.js": SCRIPT,
    "tokens.js": SCRIPT,
    "users.js": SCRIPT,
];

/// `app` with the page at `/`, for browsers on this machine: to everybody else `/` stays what it is, a
/// path without a route.
pub(crate) fn with_page(app: Router) -> Router {
    app.layer(middleware::from_fn(page_or_next))
}

async fn page_or_next(request: Request, next: Next) -> Response {
    let is_read = [Method::GET, Method::HEAD].contains(request.method());
    let is_asked_for = is_read && request.uri().path() == "/" && takes_html(request.headers());
    // Not `is_own`: a link to the page may be on any site.
    if is_asked_for && own_page::is_from_this_machine(&request) {
        return index();
    }
    next.run(request).await
}

/// Whether `Accept` names HTML, as browsers do that show a page. `*/*` is what programs send.
fn takes_html(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT).into_iter();
    let accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_html = parts
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        is_html && weight.is_none_or(|weight| weight.parse().is_ok_and(|weight: f32| weight > 0.0))
    })
}

fn index() -> Response {
    let headers = [
        (CONTENT_TYPE, HTML),
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (VARY, "accept"),
    ];
    let mut response = (headers, INDEX).into_response();
    harden(response.headers_mut());
    response
}

/// `GET /_playground/page/{file}`.
pub(super) async fn asset(Path(name): Path<String>) -> Response {
    let file = FILES.iter().find(|(known, ..)| *known == name);
    match file {
        Some((_, kind, content)) => ([(CONTENT_TYPE, *kind)], *content).into_response(),
        None => ApiError::new(Reason::NotFound).into_response(),
    }
}

/// What keeps other pages from using an answer, and the browser from guessing what it is.
pub(super) fn harden(headers: &mut HeaderMap) {
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs};

    use super::*;

    #[test]
    fn every_file_of_the_page_is_served() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/playground/page");
        let names = fs::read_dir(folder).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let names: BTreeSet<_> = names.filter(|name| name != "index.html").collect();
        let served: BTreeSet<_> = FILES.iter().map(|(name, ..)| (*name).to_owned()).collect();
        assert_eq!(names, served);
    }

    #[test]
    fn the_page_names_only_files_that_are_served() {
        let mut named = 0;
        for attribute in ["src=\"", "href=\""] {
            for value in INDEX.split(attribute).skip(1) {
                let value = value.split('"').next().unwrap();
                let Some(name) = value.strip_prefix("/_playground/page/") else {
                    assert!(
                        ["/docs", "/openapi.json", "#panels"].contains(&value),
                        "{value}"
                    );
                    continue;
                };
                assert!(FILES.iter().any(|(known, ..)| *known == name), "{name}");
                named += 1;
            }
        }
        assert!(named >= 3, "{named}");
    }

    #[test]
    fn only_who_asks_for_html_takes_it() {
        let takes = |value: &'static str| {
            takes_html(&HeaderMap::from_iter([(
                ACCEPT,
                HeaderValue::from_static(value),
            )]))
        };
        for html in [
            "text/html",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "application/json, Text/HTML; q=0.5",
        ] {
            assert!(takes(html), "{html}");
        }
        for other in ["*/*", "application/json", "text/html;q=0", "text/*", ""] {
            assert!(!takes(other), "{other}");
        }
        assert!(!takes_html(&HeaderMap::new()));
    }
}
