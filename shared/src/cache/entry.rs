//! What the store holds under a key, and how it is written.

use bytes::Bytes;
use jiff::Timestamp;

/// A value that expires with its key.
const VALUE: u8 = b'v';
/// A value that says when it expires.
const DATED: u8 = b'd';
const TOMBSTONE: u8 = b't';
const LEASE: u8 = b'l';

/// How many bytes stand in front of a dated value: its tag, when it expires (milliseconds since the
/// epoch) and how long it took to load (milliseconds), both big-endian.
const DATED_HEADER: usize = 1 + size_of::<i64>() + size_of::<u32>();

/// What was found under a key, to be opened by the [`LoadingCache`](super::LoadingCache) of its
/// kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheEntry(pub(super) Found);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Value(StoredValue),
    /// Something that this version of the code did not store.
    Unreadable(Bytes),
    /// DynamoDB had no such row a short while ago.
    Tombstone,
    /// A reader is loading it.
    Leased,
    /// Nothing.
    Absent,
    /// The store does not respond, or there is no store: don't ask it again in this request.
    Unavailable,
}

/// An encoded value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StoredValue {
    /// All that is stored.
    pub(super) record: Bytes,
    pub(super) dates: Option<Dates>,
}

/// When a value expires, and what it costs to replace it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dates {
    /// Milliseconds since the epoch, by the clock of the instance that stored it. The store's own
    /// expiry, which no instance's clock decides, comes later by the time for which the value may be
    /// served stale.
    pub(super) expires_at: i64,
    /// Milliseconds.
    pub(super) load_time: u32,
}

impl StoredValue {
    /// The value, encoded by its type.
    pub(super) fn encoded(&self) -> &[u8] {
        let header = if self.dates.is_some() {
            DATED_HEADER
        } else {
            1
        };
        self.record.get(header..).unwrap_or_default()
    }
}

impl Dates {
    /// The milliseconds that are left at `now`; none or fewer when it has expired.
    pub(super) fn left(&self, now: Timestamp) -> i64 {
        self.expires_at.saturating_sub(now.as_millisecond())
    }

    fn read(record: &[u8]) -> Option<Self> {
        let (expires_at, rest) = record.get(1..)?.split_first_chunk()?;
        let (load_time, _) = rest.split_first_chunk()?;
        Some(Self {
            expires_at: i64::from_be_bytes(*expires_at),
            load_time: u32::from_be_bytes(*load_time),
        })
    }
}

impl CacheEntry {
    pub(super) const UNAVAILABLE: Self = Self(Found::Unavailable);

    /// What `record` says.
    pub(super) fn read(record: Option<Bytes>) -> Self {
        let Some(record) = record else {
            return Self(Found::Absent);
        };
        let dates = match record.first() {
            Some(&VALUE) => None,
            Some(&DATED) => match Dates::read(&record) {
                Some(dates) => Some(dates),
                None => return Self(Found::Unreadable(record)),
            },
            Some(&TOMBSTONE) => return Self(Found::Tombstone),
            Some(&LEASE) => return Self(Found::Leased),
            _ => return Self(Found::Unreadable(record)),
        };
        Self(Found::Value(StoredValue { record, dates }))
    }
}

/// The record of an encoded value.
pub(super) fn value(dates: Option<Dates>, encoded: &[u8]) -> Vec<u8> {
    let Some(dates) = dates else {
        return tagged(VALUE, encoded);
    };
    let mut record = Vec::with_capacity(DATED_HEADER + encoded.len());
    record.push(DATED);
    record.extend_from_slice(&dates.expires_at.to_be_bytes());
    record.extend_from_slice(&dates.load_time.to_be_bytes());
    record.extend_from_slice(encoded);
    record
}

/// The record of a missing row.
pub(super) fn tombstone() -> Vec<u8> {
    vec![TOMBSTONE]
}

/// The record of a lease.
pub(super) fn lease(holder: [u8; 16]) -> Vec<u8> {
    tagged(LEASE, &holder)
}

fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(content.len() + 1);
    record.push(tag);
    record.extend_from_slice(content);
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(record: &[u8]) -> Found {
        CacheEntry::read(Some(Bytes::copy_from_slice(record))).0
    }

    fn stored(record: &[u8]) -> StoredValue {
        match found(record) {
            Found::Value(value) => value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn records_are_as_documented() {
        assert_eq!(value(None, b"active"), b"vactive");
        let dates = Dates {
            expires_at: 0x0102_0304,
            load_time: 7,
        };
        assert_eq!(
            value(Some(dates), b"{}"),
            b"d\0\0\0\0\x01\x02\x03\x04\0\0\0\x07{}"
        );
        assert_eq!(tombstone(), b"t");
        assert_eq!(lease([b'x'; 16]), b"lxxxxxxxxxxxxxxxx");
    }

    #[test]
    fn what_was_written_is_read() {
        let dates = Dates {
            expires_at: -5,
            load_time: u32::MAX,
        };
        for (dates, encoded) in [
            (None, &b"active"[..]),
            (Some(dates), b""),
            (Some(dates), b"{}"),
        ] {
            let read = stored(&value(dates, encoded));
            assert_eq!((read.dates, read.encoded()), (dates, encoded));
        }
        assert_eq!(found(&tombstone()), Found::Tombstone);
        assert_eq!(found(&lease([0; 16])), Found::Leased);
        assert_eq!(CacheEntry::read(None).0, Found::Absent);
    }

    #[test]
    fn anything_else_is_unreadable() {
        for record in [&b""[..], b"x", b"d", b"d\0\0\0\0\0\0\0\0\0\0\0"] {
            let unreadable = Found::Unreadable(Bytes::copy_from_slice(record));
            assert_eq!(found(record), unreadable, "{record:?}");
        }
    }
}
