//! Medians, ratios and tables.

/// The middle value, or the mean of the two in the middle; NaN of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => sorted[middle],
        _ => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// The mean; NaN of none.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The lowest and the highest value, as `low–high`.
pub fn range(values: &[f64], decimals: usize) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{low:.decimals$}–{high:.decimals$}")
}

/// The median, and the range behind it where there is more than one value.
pub fn cell(values: &[f64], decimals: usize) -> String {
    match values {
        [only] => format!("{only:.decimals$}"),
        _ => format!(
            "{:.decimals$} ({})",
            median(values),
            range(values, decimals)
        ),
    }
}

/// A row of a table: what it is, the figures of both sides, ours as a multiple of the peer's, and
/// the goal of that.
pub fn compared(
    what: &str,
    goal: &str,
    decimals: usize,
    ours: &[f64],
    peers: &[f64],
) -> Vec<String> {
    vec![
        what.to_owned(),
        cell(ours, decimals),
        cell(peers, decimals),
        format!("{:.2} ×", median(ours) / median(peers)),
        goal.to_owned(),
    ]
}

/// A table in Markdown; all columns but the first are aligned to the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let line = |cells: Vec<&str>| format!("| {} |\n", cells.join(" | "));
    let rule = (0..head.len()).map(|column| if column == 0 { "---" } else { "---:" });
    let mut text = line(head.to_vec()) + &line(rule.collect());
    for row in rows {
        text += &line(row.iter().map(String::as_str).collect());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        for (values, expected) in [
            (&[3.0, 1.0, 2.0][..], 2.0),
            (&[4.0, 1.0, 2.0, 3.0], 2.5),
            (&[7.0], 7.0),
        ] {
            assert!((median(values) - expected).abs() < 1e-12, "{values:?}");
        }
        assert!(median(&[]).is_nan());
        assert_eq!(range(&[0.25, 0.5, 0.125], 2), "0.12–0.50");
    }

    #[test]
    fn a_table_is_markdown() {
        let rows = [vec!["speed".to_owned(), "2".to_owned()]];
        let expected = "| what | tenon |\n| --- | ---: |\n| speed | 2 |\n";
        assert_eq!(table(&["what", "tenon"], &rows), expected);
    }
}
