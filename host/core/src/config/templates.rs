//! The columns that the templates of a run file name.

use minijinja::Environment;

use super::report::{Code, Fault};
use super::validate::Hint;

/// Stands for the answer in a template of `[prompt]`; it is no column.
const ANSWER: &str = "answer";

/// The columns that a template names, each as a hint of its own in the place of the template. One that is no template is
/// a fault.
pub(super) fn columns(hint: &Hint, faults: &mut Vec<Fault>) -> Vec<Hint> {
    let environment = Environment::new();
    let template = match environment.template_from_str(&hint.text) {
        Ok(template) => template,
        Err(error) => {
            faults.push(fault(hint, &error));
            return Vec::new();
        }
    };
    let globals: Vec<&str> = environment.globals().map(|(name, _)| name).collect();
    let is_column = |name: &String| {
        let answers = hint.kind == "prompt" && name == ANSWER;
        !answers && !globals.contains(&name.as_str())
    };
    let named = template.undeclared_variables(false).into_iter();
    let mut columns: Vec<String> = named.filter(is_column).collect();
    columns.sort();
    let column = |text| Hint {
        kind: "column".into(),
        text,
        ..hint.clone()
    };
    columns.into_iter().map(column).collect()
}

fn fault(hint: &Hint, error: &minijinja::Error) -> Fault {
    let (line, kind) = (error.line().unwrap_or(1), error.kind());
    let problem = match error.detail() {
        Some(detail) => format!("{kind}: {detail}"),
        None => kind.to_string(),
    };
    let message = match hint.text.lines().nth(line.saturating_sub(1)) {
        Some(text) if hint.text.contains('\n') => {
            format!("no template: {problem}, in its line {line}, {text:?}")
        }
        _ => format!("no template: {problem}"),
    };
    Fault::new(Code::InvalidValue, &hint.path, hint.origin.clone(), message)
}
