//! Which node of a cluster owns which slots.

use redis::Value;

use crate::kv::redis::target::Address;

const SLOTS: u16 = 16_384;

/// A hash slot: a part of the key space.
pub(super) type Slot = u16;

/// The owners of slots, as one node reports them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slots {
    /// First and last slot, in ascending order.
    ranges: Vec<(Slot, Slot, Address)>,
    /// Slots for which a redirection has named another owner since.
    moved: Vec<(Slot, Address)>,
}

impl Slots {
    /// From the reply to `CLUSTER SLOTS` of the node at `asked`: the primary of each range. `None`
    /// when the reply is unusable.
    pub(super) fn parse(answer: &Value, asked: &Address) -> Option<Self> {
        let Value::Array(entries) = answer else {
            return None;
        };
        let mut ranges: Vec<_> = entries
            .iter()
            .filter_map(|entry| range(entry, asked))
            .collect();
        ranges.sort();
        (!ranges.is_empty()).then_some(Self {
            ranges,
            moved: Vec::new(),
        })
    }

    /// The owner of this slot.
    pub(super) fn owner(&self, slot: Slot) -> Option<&Address> {
        if let Some((_, address)) = self.moved.iter().find(|(moved, _)| *moved == slot) {
            return Some(address);
        }
        let at = self.ranges.partition_point(|(_, last, _)| *last < slot);
        self.ranges
            .get(at)
            .filter(|(first, ..)| *first <= slot)
            .map(|(.., address)| address)
    }

    /// Records that a slot has moved.
    pub(super) fn learn(&mut self, slot: Slot, owner: Address) {
        self.moved.retain(|(moved, _)| *moved != slot);
        self.moved.push((slot, owner));
    }

    /// Whether this node owns slots.
    pub(super) fn has(&self, address: &Address) -> bool {
        self.ranges.iter().any(|(.., owner)| owner == address)
    }

    /// All primaries, each once.
    pub(super) fn owners(&self) -> Vec<Address> {
        let mut owners: Vec<_> = self
            .ranges
            .iter()
            .map(|(.., owner)| owner.clone())
            .collect();
        owners.sort();
        owners.dedup();
        owners
    }
}

/// `[first, last, [host, port, …], replica…]`. An empty or null host means that of the node that
/// was asked; `?` means unknown.
fn range(entry: &Value, asked: &Address) -> Option<(Slot, Slot, Address)> {
    let Value::Array(parts) = entry else {
        return None;
    };
    let [
        Value::Int(first),
        Value::Int(last),
        Value::Array(primary),
        ..,
    ] = parts.as_slice()
    else {
        return None;
    };
    let [host, Value::Int(port), ..] = primary.as_slice() else {
        return None;
    };
    let host = match host {
        Value::BulkString(host) => String::from_utf8(host.clone()).ok()?,
        Value::Nil => String::new(),
        _ => return None,
    };
    let host = match host.as_str() {
        "" => asked.host.clone(),
        "?" => return None,
        _ => host,
    };
    Some((
        Slot::try_from(*first).ok()?,
        Slot::try_from(*last).ok()?,
        Address {
            host,
            port: u16::try_from(*port).ok()?,
        },
    ))
}

/// A key's slot: CRC16 (XMODEM) of its hash tag, the text within its first `{…}` if that is not
/// empty, or else of the whole key.
pub(super) fn slot(key: &[u8]) -> Slot {
    crc16(hash_tag(key).unwrap_or(key)) % SLOTS
}

fn hash_tag(key: &[u8]) -> Option<&[u8]> {
    let start = key.iter().position(|byte| *byte == b'{')? + 1;
    let length = key[start..].iter().position(|byte| *byte == b'}')?;
    (length > 0).then(|| &key[start..start + length])
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            (crc << 1) ^ if crc & 0x8000 == 0 { 0 } else { 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Address {
        Address {
            host: host.to_owned(),
            port,
        }
    }

    /// The reply of Redis 7 to `CLUSTER SLOTS`.
    fn answer(ranges: &[(i64, i64, Option<&str>, i64)]) -> Value {
        let range = |(first, last, host, port): &(i64, i64, Option<&str>, i64)| {
            let host = host.map_or(Value::Nil, |host| {
                Value::BulkString(host.as_bytes().to_vec())
            });
            let node = Value::Array(vec![
                host,
                Value::Int(*port),
                Value::BulkString(b"id".to_vec()),
                Value::Array(vec![]),
            ]);
            Value::Array(vec![
                Value::Int(*first),
                Value::Int(*last),
                node.clone(),
                node,
            ])
        };
        Value::Array(ranges.iter().map(range).collect())
    }

    #[test]
    fn slots_match_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12_182);
        assert_eq!(slot(b"{user1000}.following"), slot(b"user1000"));
        assert_eq!(slot(b"foo{}{bar}"), crc16(b"foo{}{bar}") % SLOTS);
        assert_eq!(slot(b"foo{{bar}}zap"), slot(b"{bar"));
        assert_eq!(slot(b"foo{bar}{zap}"), slot(b"bar"));
    }

    #[test]
    fn a_slot_belongs_to_the_node_of_its_range() {
        let asked = at("seed", 1);
        let answer = answer(&[
            (5461, 10_922, Some("b"), 2),
            (0, 5460, None, 1),
            (10_923, 16_000, Some(""), 3),
        ]);
        let slots = Slots::parse(&answer, &asked).unwrap();
        assert_eq!(slots.owner(0), Some(&at("seed", 1)));
        assert_eq!(slots.owner(5460), Some(&at("seed", 1)));
        assert_eq!(slots.owner(5461), Some(&at("b", 2)));
        assert_eq!(slots.owner(16_000), Some(&at("seed", 3)));
        assert_eq!(slots.owner(16_001), None);
        assert_eq!(slots.owners(), [at("b", 2), at("seed", 1), at("seed", 3)]);
    }

    #[test]
    fn a_redirection_overrides_the_slot_map() {
        let mut slots = Slots::parse(&answer(&[(0, 16_383, Some("a"), 1)]), &at("a", 1)).unwrap();
        slots.learn(7, at("b", 2));
        slots.learn(7, at("c", 3));
        assert_eq!(
            (slots.owner(7), slots.owner(8)),
            (Some(&at("c", 3)), Some(&at("a", 1)))
        );
    }

    #[test]
    fn a_reply_without_usable_ranges_is_rejected() {
        assert_eq!(Slots::parse(&Value::Array(vec![]), &at("a", 1)), None);
        assert_eq!(
            Slots::parse(&answer(&[(0, 9, Some("?"), 1)]), &at("a", 1)),
            None
        );
        assert_eq!(Slots::parse(&Value::Okay, &at("a", 1)), None);
    }

    #[test]
    fn addresses_in_redirections_are_parsed() {
        let asked = at("seed", 1);
        assert_eq!(
            Address::parse("10.0.0.1:6381", &asked),
            Some(at("10.0.0.1", 6381))
        );
        assert_eq!(Address::parse("::1:6381", &asked), Some(at("::1", 6381)));
        assert_eq!(Address::parse(":6381", &asked), Some(at("seed", 6381)));
        assert_eq!(Address::parse("nonsense", &asked), None);
    }
}
