//! A picture in place of a mini-program code. What the code would say is in a text of the file, so that tests
//! and the playground can "scan" it.
//!
//! Source: <https://www.w3.org/TR/png-3/>, RFC 1950, RFC 1951.

use sha2::{Digest as _, Sha256};

const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// The keyword of the text with what the code says.
pub(crate) const KEYWORD: &str = "mini-program-code";
/// The cells in a row of the pattern; as many as a small QR code has.
const CELLS: usize = 25;
/// The most bytes of a block that is stored without compression.
const MAX_BLOCK: usize = 65_535;

/// A square picture, black and white, with a pattern that depends on `text`. `text` is ASCII.
pub(crate) fn picture(width: u16, text: &str) -> Vec<u8> {
    let mut file = SIGNATURE.to_vec();
    let side = u32::from(width).to_be_bytes();
    // One bit for each pixel, grey, and the only method of compression, filter and no interlace.
    chunk(
        &mut file,
        *b"IHDR",
        &[&side, &side, [1, 0, 0, 0].as_slice(), &[0]].concat(),
    );
    chunk(&mut file, *b"tEXt", format!("{KEYWORD}\0{text}").as_bytes());
    chunk(
        &mut file,
        *b"IDAT",
        &zlib(&pixels(usize::from(width), text)),
    );
    chunk(&mut file, *b"IEND", &[]);
    file
}

/// The rows of the picture, each after the number of its filter (0: none).
fn pixels(width: usize, text: &str) -> Vec<u8> {
    let pattern = pattern(text);
    let mut rows = Vec::new();
    for y in 0..width {
        rows.push(0);
        for first in (0..width).step_by(8) {
            let white = |x: usize| x < width && !pattern[y * CELLS / width][x * CELLS / width];
            let byte = (first..first + 8).fold(0, |byte, x| (byte << 1) | u8::from(white(x)));
            rows.push(byte);
        }
    }
    rows
}

/// Which cells are black.
fn pattern(text: &str) -> [[bool; CELLS]; CELLS] {
    std::array::from_fn(|row| {
        let hash = Sha256::digest(format!("{row}:{text}"));
        std::array::from_fn(|column| hash[column] & 1 == 1)
    })
}

fn chunk(file: &mut Vec<u8>, name: [u8; 4], data: &[u8]) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let content = [name.as_slice(), data].concat();
    file.extend(length.to_be_bytes());
    file.extend(&content);
    file.extend(crc32(&content).to_be_bytes());
}

/// Stored blocks between the header and the checksum of zlib.
fn zlib(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = data.chunks(MAX_BLOCK);
    let last = blocks.len().saturating_sub(1);
    for (index, block) in blocks.enumerate() {
        let length = u16::try_from(block.len()).unwrap_or(u16::MAX);
        stream.push(u8::from(index == last));
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    stream.extend(adler32(data).to_be_bytes());
    stream
}

fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

fn adler32(data: &[u8]) -> u32 {
    let (a, b) = data.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    (b << 16) | a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksums_are_those_of_their_standards() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(adler32(b"Wikipedia"), 0x11e6_0398);
        // As in every PNG file.
        assert_eq!(crc32(b"IEND"), 0xae42_6082);
    }

    #[test]
    fn a_row_has_a_bit_for_each_pixel() {
        assert_eq!(pixels(281, "a").len(), 281 * (1 + 36));
        assert_ne!(pixels(280, "a"), pixels(280, "b"));
    }

    #[test]
    fn a_large_picture_has_several_blocks() {
        let data = vec![7; MAX_BLOCK + 1];
        let stream = zlib(&data);
        assert_eq!(stream.len(), 2 + (5 + MAX_BLOCK) + (5 + 1) + 4);
        assert_eq!(stream[2..7], [0, 0xff, 0xff, 0, 0]);
        assert_eq!(stream[7 + MAX_BLOCK..][..5], [1, 1, 0, 0xfe, 0xff]);
    }
}
