//! What authors implement, read from plugin-api's source: so that no method is forgotten here.

use std::path::Path;

use syn::{Item, TraitItem};

/// The traits and the files that they stand in.
const TRAITS: [(&str, &str); 6] = [
    ("metric/mod.rs", "Metric"),
    ("task.rs", "Task"),
    ("model.rs", "Model"),
    ("peft.rs", "Peft"),
    ("peft.rs", "Attach"),
    ("processor.rs", "Processor"),
];

/// Every method of every trait as `Trait::method`, and whether it has a default.
pub fn methods() -> Vec<(String, bool)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-api/src");
    let mut all = Vec::new();
    for (file, name) in TRAITS {
        let text = std::fs::read_to_string(source.join(file)).expect("plugin-api's source");
        let parsed = syn::parse_file(&text).expect("Rust");
        let found = parsed.items.into_iter().find_map(|item| match item {
            Item::Trait(item) if item.ident == name => Some(item),
            _ => None,
        });
        let found = found.unwrap_or_else(|| panic!("plugin-api/src/{file} has no trait {name}"));
        for item in found.items {
            if let TraitItem::Fn(method) = item {
                let defaulted = method.default.is_some();
                all.push((format!("{name}::{}", method.sig.ident), defaulted));
            }
        }
    }
    all
}
