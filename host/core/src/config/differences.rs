//! What differs between two resolved run files.

use std::collections::BTreeMap;

use toml::{Table, Value};

/// The keys whose values differ, each with both values: `train.epochs = 3, now 5`. Keys that are
/// `free` to differ, as `run.name`, are left out; text that is no TOML counts as empty.
#[must_use]
pub fn differences(old: &str, new: &str, free: &[&str]) -> Vec<String> {
    let [old, new] = [old, new].map(|text| {
        let mut flat = BTreeMap::new();
        let table: Table = text.parse().unwrap_or_default();
        flatten("", &Value::Table(table), &mut flat);
        flat
    });
    let keys: Vec<_> = match old.is_empty() {
        true => Vec::new(),
        false => old
            .keys()
            .chain(new.keys().filter(|key| !old.contains_key(*key)))
            .collect(),
    };
    let differs = |key: &&String| !free.contains(&key.as_str()) && old.get(*key) != new.get(*key);
    let told = |key: &String| match (old.get(key), new.get(key)) {
        (Some(old), Some(new)) => format!("{key} = {old}, now {new}"),
        (Some(old), None) => format!("{key} = {old}, now absent"),
        (None, Some(new)) => format!("{key} absent, now {new}"),
        (None, None) => key.clone(),
    };
    keys.into_iter().filter(differs).map(told).collect()
}

fn flatten(path: &str, value: &Value, flat: &mut BTreeMap<String, String>) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                let path = match path {
                    "" => key.clone(),
                    path => format!("{path}.{key}"),
                };
                flatten(&path, value, flat);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (index, item) in items.iter().enumerate() {
                flatten(&format!("{path}[{index}]"), item, flat);
            }
        }
        value => drop(flat.insert(path.to_owned(), value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_told_with_both_values() {
        let old = "
            [run]
            name = \"a\"
            threads = 1
            [[metrics]]
            use = \"f1\"
            average = \"macro\"
            [train]
            epochs = 3
            learning_rate = 1e-3";
        let new = "
            [run]
            name = \"b\"
            [[metrics]]
            use = \"f1\"
            average = \"micro\"
            [train]
            epochs = 3
            learning_rate = 0.01
            warmup_steps = 4";
        let found = differences(old, new, &["run.name"]);
        insta::assert_snapshot!(found.join("\n"), @r#"
        metrics[0].average = "macro", now "micro"
        run.threads = 1, now absent
        train.learning_rate = 0.001, now 0.01
        train.warmup_steps absent, now 4
        "#);
        assert_eq!(differences(old, old, &[]), Vec::<String>::new());
        assert_eq!(differences("no [ TOML", new, &[]), Vec::<String>::new());
    }
}
