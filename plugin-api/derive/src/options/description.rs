//! Doc comments as the text of a `description`.

use syn::{Attribute, Expr, ExprLit, Lit, Meta};

/// The doc comment of an item: lines of a paragraph joined by a space,
/// paragraphs parted by an empty line. Lists, tables and fenced blocks keep
/// their lines. `None` without a doc comment.
pub fn of(attributes: &[Attribute]) -> Option<String> {
    let lines: Vec<String> = attributes.iter().filter_map(doc_text).collect();
    let mut text = String::new();
    let mut fenced = false;
    let mut apart = true;
    for line in lines.iter().flat_map(|block| block.lines()) {
        let line = line.strip_prefix(' ').unwrap_or(line).trim_end();
        let fence = line.trim_start().starts_with("```");
        if line.is_empty() && !fenced {
            apart = true;
            continue;
        }
        if !text.is_empty() {
            text.push_str(match (apart, fenced || fence || keeps_its_line(line)) {
                (true, _) => "\n\n",
                (false, true) => "\n",
                (false, false) => " ",
            });
        }
        let keep_indent = fenced || keeps_its_line(line);
        text.push_str(if keep_indent { line } else { line.trim_start() });
        fenced ^= fence;
        apart = false;
    }
    (!text.is_empty()).then_some(text)
}

fn doc_text(attribute: &Attribute) -> Option<String> {
    let Meta::NameValue(meta) = &attribute.meta else {
        return None;
    };
    let Expr::Lit(ExprLit {
        lit: Lit::Str(text),
        ..
    }) = &meta.value
    else {
        return None;
    };
    // `#[doc = ""]` is an empty line, which `str::lines` would drop.
    let text = text.value();
    meta.path
        .is_ident("doc")
        .then(|| if text.is_empty() { "\n".into() } else { text })
}

fn keeps_its_line(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("- ") || line.starts_with("* ") || line.starts_with('|')
}
