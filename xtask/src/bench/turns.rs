//! Runs of both sides, turn and turn about.

use anyhow::Result;
use serde::Serialize;
use serde_json::{Value, json};

use super::figures::compared;
use super::machine::busy_cores;
use super::peer::Peer;

/// What the runs of both sides measured, in the order of the seeds.
#[derive(Debug, Default)]
pub struct Both<R> {
    /// Those of tenon.
    pub ours: Vec<R>,
    /// Those of the peer.
    pub peers: Vec<R>,
    /// All that is known of each run.
    pub raw: Vec<Value>,
}

impl<R: Serialize> Both<R> {
    /// Runs both sides, ours where `one` gets no peer, with each seed; the side that begins changes, so that whatever
    /// changes over time does so for both. `describe` says in a line what came out.
    ///
    /// # Errors
    /// Those of `one`, which answers what it measured, and what else there is to keep of it.
    pub fn measure(
        seeds: u32,
        peer: &Peer,
        mut one: impl FnMut(Option<&Peer>, u32) -> Result<(R, Value)>,
        describe: impl Fn(&R) -> String,
    ) -> Result<Self> {
        let (ours, peers, raw) = (Vec::new(), Vec::new(), Vec::new());
        let mut both = Self { ours, peers, raw };
        for seed in 0..seeds {
            for is_ours in [seed % 2 == 0, seed % 2 == 1] {
                let busy = busy_cores();
                let (run, all) = one((!is_ours).then_some(peer), seed)?;
                let (side, runs) = match is_ours {
                    true => ("tenon", &mut both.ours),
                    false => ("peer", &mut both.peers),
                };
                println!("seed {seed}: {side:<6} {}", describe(&run));
                let mut raw =
                    json!({"side": side, "seed": seed, "busy_cores_before": busy, "run": run});
                if !all.is_null() {
                    raw["all"] = all;
                }
                both.raw.push(raw);
                runs.push(run);
            }
        }
        Ok(both)
    }
}

impl<R> Both<R> {
    /// Of these runs, of which no more is known.
    #[cfg(test)]
    pub fn of(ours: Vec<R>, peers: Vec<R>) -> Self {
        let raw = Vec::new();
        Self { ours, peers, raw }
    }

    /// A row of the table of both sides, as [`compared`] writes it.
    pub fn row(
        &self,
        what: &str,
        goal: &str,
        decimals: usize,
        figure: fn(&R) -> f64,
    ) -> Vec<String> {
        let figures = |runs: &[R]| runs.iter().map(figure).collect::<Vec<_>>();
        compared(
            what,
            goal,
            decimals,
            &figures(&self.ours),
            &figures(&self.peers),
        )
    }
}
