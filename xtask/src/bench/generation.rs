//! Text written by models with random weights, against `transformers.generate` and CTranslate2 on the same weights:
//! tokens a second from the first prompt to the last text, without loading, on two threads.

use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::figures::{cell, median, table};
use super::machine::{Machine, busy_cores};
use super::ours::{self, Built, number};
use super::peer::Peer;
use super::{Findings, Options, folder};
use crate::cargo::{repository, run};

/// Columns that tell the rows of the table apart.
pub const KEYS: usize = 2;
/// Prompts of the scripts.
const PROMPTS: usize = 16;

/// What is measured against: its name, and its script in the repository.
type Rival = (&'static str, &'static str);
const TRANSFORMERS: Rival = ("transformers", "xtask/bench/peer_generate.py");
const CTRANSLATE2: Rival = ("CTranslate2", "xtask/bench/peer_ctranslate2.py");
/// The first one makes the models.
const RIVALS: [Rival; 2] = [TRANSFORMERS, CTRANSLATE2];

/// One way of writing.
struct Case {
    /// Folder of the model, as the scripts name it, and the component that loads it.
    model: (&'static str, &'static str),
    batch: usize,
    beams: usize,
    new: usize,
    /// How many times the speed of transformers is wanted.
    goal: f64,
}

impl Case {
    /// Those that it is measured against: CTranslate2 where it has such a model.
    fn rivals(&self) -> &'static [Rival] {
        match self.model == MARIAN {
            true => &RIVALS,
            false => &RIVALS[..1],
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, batch {}, ", self.model.0, self.batch)?;
        match self.beams {
            1 => f.write_str("greedy"),
            beams => write!(f, "beam {beams}"),
        }
    }
}

const fn case(
    model: (&'static str, &'static str),
    batch: usize,
    beams: usize,
    new: usize,
    goal: f64,
) -> Case {
    Case {
        model,
        batch,
        beams,
        new,
        goal,
    }
}

const TINY: (&str, &str) = ("tiny", "gpt2");
const GPT2: (&str, &str) = ("gpt2", "gpt2");
const MARIAN: (&str, &str) = ("marian", "transformer");

const CASES: [Case; 10] = [
    case(TINY, 1, 1, 128, 2.0),
    case(TINY, 16, 1, 128, 2.0),
    case(TINY, 1, 4, 128, 2.0),
    case(TINY, 16, 4, 128, 2.0),
    case(GPT2, 1, 1, 48, 1.3),
    case(GPT2, 16, 1, 48, 1.3),
    case(GPT2, 1, 4, 48, 1.3),
    case(GPT2, 16, 4, 48, 1.3),
    case(MARIAN, 1, 4, 48, 2.0),
    case(MARIAN, 16, 4, 48, 2.0),
];

/// The numbers of the cases whose names contain one of `named`; of all where nothing is named.
///
/// # Errors
/// A name is in none.
pub fn chosen(named: &[String]) -> Result<Vec<usize>> {
    let names: Vec<String> = CASES.iter().map(Case::to_string).collect();
    let unknown = named
        .iter()
        .find(|text| !names.iter().any(|name| name.contains(*text)));
    if let Some(unknown) = unknown {
        bail!(
            "--case: no case is named like {unknown:?}; there are\n  {}",
            names.join("\n  ")
        );
    }
    let is_chosen = |at: &usize| named.is_empty() || named.iter().any(|n| names[*at].contains(n));
    Ok((0..CASES.len()).filter(is_chosen).collect())
}

/// Times the chosen cases on all sides, in turn.
///
/// # Errors
/// A side fails, or they did not write as many tokens.
pub fn measure(
    options: &Options,
    built: &Built,
    peer: &Peer,
    machine: &Machine,
) -> Result<Findings> {
    let folder = folder(&repository()).join("generation");
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let chosen = chosen(&options.case)?;
    let converts = chosen.iter().any(|&at| CASES[at].model == MARIAN);
    for (_, script) in &RIVALS[..if converts { 2 } else { 1 }] {
        run(peer.script(script).arg("make").arg(&folder))?;
    }
    let (mut rows, mut raw) = (Vec::new(), Vec::new());
    for case in chosen.into_iter().map(|at| &CASES[at]) {
        let busy = busy_cores();
        let mut own = Figures::default();
        let mut others = vec![Figures::default(); case.rivals().len()];
        for _ in 0..options.seeds {
            own.add(ours_of(built, &folder, case)?);
            for (rival, figures) in case.rivals().iter().zip(&mut others) {
                figures.add(peer_of(peer, &folder, case, rival.1)?);
            }
        }
        for (rival, theirs) in case.rivals().iter().zip(&others) {
            let row = row(case, *rival, &own, theirs, machine.date());
            println!("{}", row.join("  "));
            rows.push(row);
            raw.push(json!({
                "case": case.to_string(), "busy_cores_before": busy, "peer": rival.0,
                "tenon": own.json(), "peers": theirs.json(),
            }));
        }
    }
    Ok(Findings {
        text: table(&HEAD, &rows),
        json: Value::Array(raw),
    })
}

const HEAD: [&str; 8] = [
    "tokens/s, median (lowest–highest)",
    "peer",
    "tenon",
    "its",
    "ratio",
    "goal",
    "peak memory, MiB",
    "day",
];

fn row(case: &Case, rival: Rival, own: &Figures, theirs: &Figures, day: &str) -> Vec<String> {
    let times = median(&own.tokens_per_s) / median(&theirs.tokens_per_s);
    let memory = |figures: &Figures| median(&figures.peak_rss_mib);
    vec![
        case.to_string(),
        rival.0.to_owned(),
        cell(&own.tokens_per_s, 0),
        cell(&theirs.tokens_per_s, 0),
        format!("{times:.2} ×"),
        match rival == TRANSFORMERS {
            true => format!("≥ {:.1} ×", case.goal),
            false => String::new(),
        },
        format!("{:.0} / {:.0}", memory(own), memory(theirs)),
        day.to_owned(),
    ]
}

/// What the runs of a side measured, one after another.
#[derive(Clone, Debug, Default)]
struct Figures {
    tokens_per_s: Vec<f64>,
    peak_rss_mib: Vec<f64>,
}

impl Figures {
    fn add(&mut self, (speed, memory): (f64, f64)) {
        self.tokens_per_s.push(speed);
        self.peak_rss_mib.push(memory);
    }

    fn json(&self) -> Value {
        json!({"tokens_per_s": self.tokens_per_s, "peak_rss_mib": self.peak_rss_mib})
    }
}

/// Tokens a second and MiB of a run of tenon.
fn ours_of(built: &Built, folder: &Path, case: &Case) -> Result<(f64, f64)> {
    let (model, component) = case.model;
    let run_file = folder.join(format!("{model}.toml"));
    let text = format!(
        "[run]\ndevice = \"cpu\"\nthreads = 2\n\n[model]\nuse = \"{component}\"\npretrained = \"{}\"\n\n\
         [task]\nuse = \"text-generation\"\n\n[data]\ntest = \"{}\"\ncache = false\n\n\
         [[metrics]]\nuse = \"text-match\"\n\n[generation]\neos_token = []\n",
        folder.join(model).display(),
        folder.join("prompts.jsonl").display(),
    );
    fs::write(&run_file, text).with_context(|| format!("writing {}", run_file.display()))?;
    let mut command = ours::shell(&built.program("tenon"));
    command
        .args(["evaluate", "--quiet", "--json"])
        .arg(&run_file);
    command.arg("--model").arg(folder.join(model));
    for set in [
        format!("generation.batch_size={}", case.batch),
        format!("generation.num_beams={}", case.beams),
        format!("generation.max_new_tokens={}", case.new),
    ] {
        command.args(["--set", &set]);
    }
    let found = ours::answer(&mut command)?;
    let written = number(&found, "/written_tokens")?;
    let expected = (case.new * PROMPTS) as f64;
    ensure!(
        (written - expected).abs() < 0.5,
        "{written} tokens were written instead of {expected}"
    );
    Ok((
        number(&found, "/written_tokens_per_second")?,
        number(&found, "/peak_memory_bytes")? / f64::from(1 << 20),
    ))
}

/// The same of a peer, whose script checks how many tokens it writes.
fn peer_of(peer: &Peer, folder: &Path, case: &Case, script: &str) -> Result<(f64, f64)> {
    let mut command = peer.script(script);
    command.arg("run").arg(folder).arg(case.model.0);
    for (name, value) in [
        ("--batch", case.batch),
        ("--beams", case.beams),
        ("--new", case.new),
    ] {
        command.args([name, &value.to_string()]);
    }
    let found = ours::answer(&mut command)?;
    Ok((
        number(&found, "/tokens_per_s")?,
        number(&found, "/peak_rss_mib")?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_what_their_names_contain() {
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            chosen(&names)
        };
        assert_eq!(chosen(&[]).expect("all").len(), CASES.len());
        assert_eq!(chosen(&["marian"]).expect("two"), [8, 9]);
        assert_eq!(
            chosen(&["tiny, batch 16", "gpt2, batch 1, beam"]).expect("three"),
            [1, 3, 6]
        );
        let error = chosen(&["marian", "beam 5"]).expect_err("no such case");
        assert!(
            error
                .to_string()
                .starts_with("--case: no case is named like \"beam 5\""),
            "{error}"
        );
    }

    #[test]
    fn a_row_says_whom_it_is_held_against() {
        let figures = |speeds: &[f64], memory: f64| Figures {
            tokens_per_s: speeds.to_vec(),
            peak_rss_mib: vec![memory; speeds.len()],
        };
        let (own, theirs) = (figures(&[30.0, 20.0, 25.0], 100.0), figures(&[10.0], 250.0));
        let marian = &CASES[8];
        assert_eq!(marian.rivals(), RIVALS);
        let line = |rival| row(marian, rival, &own, &theirs, "2026-01-02").join(" | ");
        assert_eq!(
            line(TRANSFORMERS),
            "marian, batch 1, beam 4 | transformers | 25 (20–30) | 10 | 2.50 × | ≥ 2.0 × | 100 / 250 | 2026-01-02"
        );
        assert_eq!(
            line(CTRANSLATE2),
            "marian, batch 1, beam 4 | CTranslate2 | 25 (20–30) | 10 | 2.50 × |  | 100 / 250 | 2026-01-02"
        );
    }

    #[test]
    fn the_page_has_these_columns() {
        let path = repository().join("docs/benchmarks.md");
        let page = fs::read_to_string(path).expect("the page");
        let head = table(&HEAD, &[]);
        let head = head.lines().next().expect("a line");
        assert!(page.contains(head), "rows could not be amended: {head}");
    }
}
