//! JSON Schemas as constants: joining and merging text at compile time.
//!
//! A schema lies in a linker section of the plugin, so it must be a constant.
//! Constants cannot allocate and a generic constant cannot have a computed
//! length, so generic types compose theirs in a [`Buf`] of fixed capacity;
//! a derived type then copies the pieces into an array of exactly their length.

/// Bytes that the schema of one property may have.
const CAPACITY: usize = 8192;

/// Text composed at compile time, at most 8192 bytes of it.
pub struct Buf {
    bytes: [u8; CAPACITY],
    len: usize,
}

impl Buf {
    /// The pieces, one after the other.
    pub const fn concat(pieces: &[&str]) -> Self {
        let mut buf = Self {
            bytes: [0; CAPACITY],
            len: 0,
        };
        let mut index = 0;
        while index < pieces.len() {
            let piece = pieces[index].as_bytes();
            buf.push(piece, 0, piece.len());
            index += 1;
        }
        buf
    }

    /// The schema of a property: the entries of the object spelled by
    /// `annotations`, then those of the type's own schema whose keys are not
    /// among them.
    pub const fn property(annotations: &[&str], schema: &str) -> Self {
        let annotations = Self::concat(annotations);
        let over = annotations.as_str().as_bytes();
        let base = schema.as_bytes();
        // Without its closing brace, which comes last.
        let mut buf = Self {
            bytes: [0; CAPACITY],
            len: 0,
        };
        buf.push(over, 0, over.len() - 1);
        let mut start = 1;
        while let Some(entry) = entry_at(base, start) {
            if !has_key(over, base, &entry) {
                if buf.len > 1 {
                    buf.push(b",", 0, 1);
                }
                buf.push(base, start, entry.end);
            }
            start = entry.end + 1;
        }
        buf.push(b"}", 0, 1);
        buf
    }

    /// The text.
    pub const fn as_str(&self) -> &str {
        text(self.bytes.split_at(self.len).0)
    }

    const fn push(&mut self, bytes: &[u8], start: usize, end: usize) {
        assert!(
            self.len + (end - start) <= CAPACITY,
            "the schema of this option exceeds 8192 bytes: shorten its descriptions or nest less"
        );
        let mut index = start;
        while index < end {
            self.bytes[self.len] = bytes[index];
            self.len += 1;
            index += 1;
        }
    }
}

/// Bytes of the pieces together.
pub const fn total_len(pieces: &[&str]) -> usize {
    let mut len = 0;
    let mut index = 0;
    while index < pieces.len() {
        len += pieces[index].len();
        index += 1;
    }
    len
}

/// The pieces, one after the other, `N` bytes in all.
pub const fn join<const N: usize>(pieces: &[&str]) -> [u8; N] {
    let mut bytes = [0; N];
    let mut len = 0;
    let mut index = 0;
    while index < pieces.len() {
        let piece = pieces[index].as_bytes();
        let mut byte = 0;
        while byte < piece.len() {
            bytes[len] = piece[byte];
            len += 1;
            byte += 1;
        }
        index += 1;
    }
    bytes
}

/// Bytes that were joined from strings, as a string again.
pub const fn text(bytes: &[u8]) -> &str {
    match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => panic!("a schema was cut inside a character"),
    }
}

/// One `"key":value` of a compact JSON object.
struct Entry {
    /// The key with its quotes: `start..key_end`.
    start: usize,
    key_end: usize,
    /// Past the value, where a comma or the closing brace stands.
    end: usize,
}

/// The entry that starts at `start`; `None` at the end of the object.
const fn entry_at(object: &[u8], start: usize) -> Option<Entry> {
    if start >= object.len() || object[start] != b'"' {
        return None;
    }
    let key_end = string_end(object, start);
    let mut end = key_end + 1;
    let mut depth = 0;
    while depth > 0 || !(object[end] == b',' || object[end] == b'}') {
        match object[end] {
            b'"' => {
                end = string_end(object, end);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        end += 1;
    }
    Some(Entry {
        start,
        key_end,
        end,
    })
}

/// Past the closing quote of the string that opens at `start`.
const fn string_end(json: &[u8], start: usize) -> usize {
    let mut index = start + 1;
    while json[index] != b'"' {
        index += if json[index] == b'\\' { 2 } else { 1 };
    }
    index + 1
}

/// Whether `object` has the key of `entry`, an entry of `other`.
const fn has_key(object: &[u8], other: &[u8], entry: &Entry) -> bool {
    let mut start = 1;
    while let Some(own) = entry_at(object, start) {
        if same(
            object,
            own.start,
            own.key_end,
            other,
            entry.start,
            entry.key_end,
        ) {
            return true;
        }
        start = own.end + 1;
    }
    false
}

const fn same(
    a: &[u8],
    a_start: usize,
    a_end: usize,
    b: &[u8],
    b_start: usize,
    b_end: usize,
) -> bool {
    if a_end - a_start != b_end - b_start {
        return false;
    }
    let mut index = 0;
    while a_start + index < a_end {
        if a[a_start + index] != b[b_start + index] {
            return false;
        }
        index += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_merged_by_key() {
        let cases = [
            (r#"{"description":"d"}"#, "{}", r#"{"description":"d"}"#),
            (r#"{"a":1}"#, r#"{"b":2}"#, r#"{"a":1,"b":2}"#),
            (
                r#"{"a":1}"#,
                r#"{"a":2,"b":[1,{"a":3}],"c":"}\",{"}"#,
                r#"{"a":1,"b":[1,{"a":3}],"c":"}\",{"}"#,
            ),
            (
                r#"{"minimum":1}"#,
                r#"{"type":"integer","minimum":0}"#,
                r#"{"minimum":1,"type":"integer"}"#,
            ),
            ("{}", r#"{"type":"string"}"#, r#"{"type":"string"}"#),
        ];
        for (annotations, schema, expected) in cases {
            assert_eq!(Buf::property(&[annotations], schema).as_str(), expected);
        }
    }

    #[test]
    #[should_panic(expected = "exceeds 8192 bytes")]
    fn too_long_a_schema_is_refused() {
        Buf::concat(&[&"x".repeat(CAPACITY), "y"]);
    }
}
