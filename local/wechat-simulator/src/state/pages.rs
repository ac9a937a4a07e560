//! The pages of the mini-programs' published versions.

use std::collections::HashMap;

/// Until its pages are set, an app has every page.
#[derive(Default)]
pub(crate) struct Pages(HashMap<String, Vec<String>>);

impl Pages {
    pub(crate) fn set(&mut self, app_id: &str, pages: Vec<String>) {
        self.0.insert(app_id.to_owned(), pages);
    }

    /// Whether the app has the page, which may come with a query.
    pub(crate) fn has(&self, app_id: &str, page: &str) -> bool {
        let path = page.split('?').next().unwrap_or_default();
        let pages = self.0.get(app_id);
        pages.is_none_or(|pages| pages.iter().any(|known| known == path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_has_the_pages_that_were_set() {
        let mut pages = Pages::default();
        assert!(pages.has("wxone", "pages/any"));
        pages.set("wxone", vec!["pages/index".to_owned()]);
        assert!(pages.has("wxone", "pages/index?a=1"));
        assert!(!pages.has("wxone", "pages/any"));
        assert!(pages.has("wxtwo", "pages/any"));
    }
}
