//! Kinds of pictures.

/// A kind of picture that is taken as an avatar. Others are not: SVG can hold scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageType {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
    /// GIF.
    Gif,
}

impl ImageType {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Jpeg, Self::Png, Self::WebP, Self::Gif];

    /// How many of the first bytes of a file tell its kind.
    pub const TELLING_BYTES: usize = 16;

    /// The kind with this content type, as browsers write it, in lower case and without parameters.
    #[must_use]
    pub fn of_content_type(text: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|kind| kind.content_type() == text)
    }

    /// The kind of the file that begins with these bytes
    /// (<https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern>).
    #[must_use]
    pub fn of_first_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xff, 0xd8, 0xff, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(Self::Png),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Self::Gif),
            [
                b'R',
                b'I',
                b'F',
                b'F',
                _,
                _,
                _,
                _,
                b'W',
                b'E',
                b'B',
                b'P',
                b'V',
                b'P',
                ..,
            ] => Some(Self::WebP),
            _ => None,
        }
    }

    /// Whether WeChat's `mediaCheckAsync` reads it: JPEG, PNG, BMP and the first frame of a GIF.
    #[must_use]
    pub const fn can_be_checked(self) -> bool {
        match self {
            Self::Jpeg | Self::Png | Self::Gif => true,
            Self::WebP => false,
        }
    }

    /// Its content type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
            Self::Gif => "image/gif",
        }
    }

    /// How names of its files end.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Jpeg => "jpg",
            Self::Png => "png",
            Self::WebP => "webp",
            Self::Gif => "gif",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_of_a_picture_is_detected_by_its_first_bytes() {
        for (bytes, kind) in [
            (
                &b"\xff\xd8\xff\xe0\x00\x10JFIF\x00"[..],
                Some(ImageType::Jpeg),
            ),
            (b"\xff\xd8\xff\xe1\x00\x10Exif\x00", Some(ImageType::Jpeg)),
            (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", Some(ImageType::Png)),
            (b"GIF87a\x01\x00\x01\x00", Some(ImageType::Gif)),
            (b"GIF89a\x01\x00\x01\x00", Some(ImageType::Gif)),
            (b"RIFF\x24\x00\x00\x00WEBPVP8 ", Some(ImageType::WebP)),
            (b"RIFF\x24\x00\x00\x00WAVEfmt ", None),
            (b"\x89PNG\n\x1a\n", None),
            (b"GIF88a\x01", None),
            (b"GIF8", None),
            (b"\xff\xd8", None),
            (b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", None),
            (b"<!DOCTYPE html><script>", None),
            (b" \x89PNG\r\n\x1a\n", None),
            (b"BM\x00\x00", None),
            (b"", None),
        ] {
            assert_eq!(ImageType::of_first_bytes(bytes), kind, "{bytes:?}");
        }
    }

    #[test]
    fn the_telling_bytes_are_enough_for_each_kind() {
        let webp = b"RIFF\x24\x00\x00\x00WEBPVP8 ";
        assert_eq!(webp.len(), ImageType::TELLING_BYTES);
    }

    #[test]
    fn a_content_type_is_exact() {
        for kind in ImageType::ALL {
            assert_eq!(ImageType::of_content_type(kind.content_type()), Some(kind));
        }
        for other in [
            "image/svg+xml",
            "image/jpg",
            "IMAGE/PNG",
            "image/png; x=y",
            "text/html",
            "",
        ] {
            assert_eq!(ImageType::of_content_type(other), None, "{other}");
        }
    }
}
