//! Signatures: what a score was computed with, on one line, so that two scores can be compared.
//!
//! The keys and their order are sacrebleu's, whose `version` names its own release; here it names
//! tenon's.

/// `key:value` pairs between `|`, the version last.
pub fn signature(pairs: &[(&str, &str)]) -> String {
    let pairs = pairs.iter().map(|(key, value)| format!("{key}:{value}|"));
    let version = env!("CARGO_PKG_VERSION");
    format!("{}version:tenon-{version}", pairs.collect::<String>())
}

/// How a signature writes a switch.
pub fn yes_no(on: bool) -> &'static str {
    match on {
        true => "yes",
        false => "no",
    }
}

/// How a signature writes whether case counts.
pub fn case(lowercase: bool) -> &'static str {
    match lowercase {
        true => "lc",
        false => "mixed",
    }
}
