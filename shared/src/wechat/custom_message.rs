//! sendCustomMessage: a reply of customer service to a user who wrote to it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A reply of customer service.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[serde(
    tag = "kind",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub enum CustomMessage {
    /// A text.
    Text {
        /// At most 2,048 bytes.
        content: String,
    },
    /// A picture.
    Image {
        /// The picture, as WeChat's uploadTempMedia names it.
        media_id: String,
    },
    /// A link with a picture.
    Link {
        /// Its title.
        title: String,
        /// What it is.
        description: String,
        /// Where it leads.
        url: String,
        /// The address of its picture.
        thumb_url: String,
    },
    /// A card that opens a page of the mini-program.
    MiniProgramPage {
        /// Its title.
        title: String,
        /// The page, with its query.
        page_path: String,
        /// The card's picture, as WeChat's uploadTempMedia names it.
        thumb_media_id: String,
    },
}

/// Shows only its kind.
impl fmt::Debug for CustomMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text { .. } => "Text(…)",
            Self::Image { .. } => "Image(…)",
            Self::Link { .. } => "Link(…)",
            Self::MiniProgramPage { .. } => "MiniProgramPage(…)",
        })
    }
}
