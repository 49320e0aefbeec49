//! The training loop, in one place.
//!
//! The unit is the optimizer step over a *window* of batches. Each batch's summed loss is
//! back-propagated, and the gradients are divided once by the weight of the whole window (examples
//! or tokens, as the task counts them): so a window is exactly one large batch, also when the last
//! one of an epoch is short or the batches differ in weight. After a step come, in this order, the
//! log, the evaluation, the checkpoint; a checkpoint therefore never has to repeat any of them.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sha2::{Digest, Sha256};
use tch::Tensor;
use tenon_core::config::options::{Generate, Mode};
use tenon_core::config::{Length, Rhythm, TrainSettings, Warmup};
use tenon_core::data::rng::derive_seed;
use tenon_core::data::{Batch, Loader, LoaderOptions, Order, Plan, PlanOptions, Prepared};
use tenon_core::hex;
use tenon_core::request::Split;
use tenon_nn::optim::AdamW;
use tenon_plugin_api::error::StdError;
use tenon_plugin_api::model::Forward;

use crate::checkpoint::{self, Best, Checkpoints, Seen, State};
use crate::evaluate::{Evaluation, How, Stopped, batch_size, evaluate};
use crate::loss::LossMeter;
use crate::optimizer::Optimizer;
use crate::part::Part;
use crate::report::Reporter;
use crate::schedule;
use crate::services;
use crate::session::Session;

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All steps were taken.
    Finished,
    /// No better score for as many evaluations as `patience` allows.
    EarlyStopped,
    /// The user stopped it; a checkpoint was saved.
    Interrupted,
}

/// A training in progress.
pub struct Trainer<'a> {
    /// The run's components.
    pub session: &'a mut Session,
    /// Encoded training examples.
    pub train: Arc<Prepared>,
    /// The validation data.
    pub validation: Option<Part>,
    /// The optimizer over the trainable parameters.
    pub optimizer: Optimizer,
    /// Where checkpoints go.
    pub checkpoints: Checkpoints,
    /// Log and progress.
    pub report: Reporter,
    /// Where it stands.
    pub state: State,
    total: u64,
    warmup: u64,
    seed: u64,
    loss: LossMeter,
    /// Seconds spent in evaluations and checkpoints.
    pub aside: f64,
    /// What was consumed before this part of the run.
    before: Seen,
    /// The latest evaluation, and the step after which it was made.
    latest: Option<(u64, Evaluation)>,
    /// Whether it left out text that is generated at the end.
    partial: bool,
}

impl<'a> Trainer<'a> {
    /// A training that starts, or goes on from the latest checkpoint when `resume` is set.
    ///
    /// # Errors
    /// The settings ask for no step, or the checkpoint is of another run.
    pub fn new(
        session: &'a mut Session,
        train: Arc<Prepared>,
        validation: Option<Part>,
        checkpoints: Checkpoints,
        report: Reporter,
        resume: bool,
    ) -> Result<Self> {
        let trainable = session.trainable();
        ensure!(
            !trainable.is_empty(),
            "nothing is trainable: the PEFT method freezes every parameter"
        );
        let mut optimizer = Optimizer::new(trainable)?;
        let mut state = State {
            settings: session.digest.clone(),
            data: digest(
                &train,
                validation
                    .as_ref()
                    .and_then(|part| part.examples.as_deref()),
            ),
            ..State::default()
        };
        let mut report = report;
        if resume {
            // A run that was killed before its first checkpoint begins again.
            if let Some(path) = checkpoints.latest()? {
                state = checkpoint::load(&path, &state, &mut optimizer)?;
            }
            report.resume(state.log_bytes, state.position.step)?;
        }
        let seed = session.settings.run.seed;
        let loss = LossMeter::new(session.device, &state)?;
        let before = state.seen;
        let mut trainer = Self {
            session,
            train,
            validation,
            optimizer,
            checkpoints,
            report,
            state,
            total: 0,
            warmup: 0,
            seed,
            loss,
            aside: 0.0,
            before,
            latest: None,
            partial: false,
        };
        trainer.total = trainer.total_steps()?;
        ensure!(trainer.total > 0, "the settings ask for no training step");
        trainer.warmup = match trainer.settings().warmup {
            Warmup::Steps(steps) => steps,
            Warmup::Ratio(ratio) => (ratio * trainer.total as f64).ceil() as u64,
        };
        Ok(trainer)
    }

    fn settings(&self) -> &TrainSettings {
        &self.session.settings.train
    }

    /// Optimizer steps of the whole run.
    pub fn total(&self) -> u64 {
        self.total
    }

    fn total_steps(&self) -> Result<u64> {
        match self.settings().length {
            Length::Steps(steps) => Ok(steps),
            Length::Epochs(epochs) => (0..u64::from(epochs))
                .map(|epoch| self.steps_of(&self.plan(epoch)?))
                .sum(),
        }
    }

    fn steps_of(&self, plan: &Plan) -> Result<u64> {
        Ok((plan.len() as u64).div_ceil(u64::from(self.settings().gradient_accumulation_steps)))
    }

    /// The batches of an epoch; the same whenever it is asked for.
    fn plan(&self, epoch: u64) -> Result<Plan> {
        let settings = self.settings();
        let options = PlanOptions {
            batch: batch_size(settings.batch),
            order: Order::Shuffled {
                group_by_length: settings.bucket > 0,
            },
            window: (settings.bucket as usize).max(1),
            seed: self.seed,
            epoch,
            ..PlanOptions::default()
        };
        Ok(Plan::new(Arc::clone(self.train.lengths()), options)?)
    }

    /// Trains until all steps are taken, or it is stopped.
    ///
    /// # Errors
    /// The data, a plugin, libtorch or the disk fails, or the loss is no longer finite. Earlier
    /// checkpoints stay.
    pub fn run(&mut self) -> Result<End> {
        self.report.begin(self.total, self.state.position.step);
        if self.state.pending_evaluation
            && let Some(end) = self.evaluate_and_save(true)?
        {
            return Ok(end);
        }
        if self.is_out_of_patience() {
            // It was killed after its last step, before its result was written.
            return Ok(End::EarlyStopped);
        }
        while self.state.position.step < self.total {
            let plan = Arc::new(self.plan(self.state.position.epoch)?);
            ensure!(!plan.is_empty(), "the training data makes no batch");
            let options = LoaderOptions {
                start: self.state.position.batch as usize,
                ..LoaderOptions::default()
            };
            let mut loader = Loader::new(Arc::clone(&self.train), Arc::clone(&plan), options);
            while self.state.position.step < self.total
                && (self.state.position.batch as usize) < plan.len()
            {
                let batches = self.step(&mut loader)?;
                self.state.position.step += 1;
                self.state.position.batch += batches;
                let epoch_ends = self.state.position.batch as usize >= plan.len();
                let progress = self.state.position.epoch as f64
                    + self.state.position.batch as f64 / plan.len() as f64;
                if epoch_ends {
                    self.state.position.epoch += 1;
                    self.state.position.batch = 0;
                }
                if let Some(end) = self.after_step(epoch_ends, progress)? {
                    return Ok(end);
                }
                if epoch_ends {
                    break;
                }
            }
        }
        Ok(End::Finished)
    }

    /// One optimizer step; returns the number of batches that it consumed.
    fn step(&mut self, loader: &mut Loader) -> Result<u64> {
        let position = self.state.position.clone();
        services::at(self.seed, position.epoch, position.step);
        let seed = derive_seed(self.seed, position.epoch, position.step, "forward");
        let window = self.settings().gradient_accumulation_steps;
        self.optimizer.forget_grads()?;
        let (mut sum, mut weight, mut batches) = (None::<Tensor>, 0.0, 0);
        for number in 0..window {
            let Some(batch) = loader.next() else { break };
            let forward = Forward::new(true, seed ^ u64::from(number));
            let loss = self.backward(&batch?, &forward, window == 1)?;
            weight += loss.1;
            sum = Some(match sum {
                Some(sum) => sum.f_add(&loss.0)?,
                None => loss.0,
            });
            batches += 1;
        }
        let sum = sum.context("the loader ended before its plan")?;
        if window > 1 {
            self.optimizer.normalise(weight)?;
        }
        if let Some(peft) = &mut self.session.peft {
            if let Some(extra) = peft
                .handle
                .extra_loss(&Forward::new(true, seed))
                .map_err(StdError)?
            {
                extra.f_backward()?;
            }
            peft.handle
                .after_backward(position.step, self.total)
                .map_err(StdError)?;
        }
        let settings = &self.session.settings.train;
        let norm = self.optimizer.clip(settings.max_grad_norm)?;
        let factor = schedule::factor(settings.schedule, position.step, self.warmup, self.total);
        let rule = AdamW {
            learning_rate: settings.learning_rate * factor,
            beta1: settings.adam_betas.0,
            beta2: settings.adam_betas.1,
            weight_decay: settings.weight_decay,
            eps: settings.adam_epsilon,
        };
        tch::no_grad(|| self.optimizer.step(rule))?;
        self.loss.add(&sum, weight)?;
        self.report.stepped(rule.learning_rate, norm);
        Ok(batches)
    }

    /// Forward and backward of one batch. The loss is divided by its weight here when it is the
    /// window's only one, else once for the whole window.
    fn backward(&mut self, batch: &Batch, forward: &Forward, alone: bool) -> Result<(Tensor, f64)> {
        let tensors = self.session.tensors(batch)?;
        let outputs = self.session.forward(&tensors, forward)?;
        let loss = self
            .session
            .task
            .loss(&outputs, &tensors)
            .map_err(StdError)?;
        ensure!(
            loss.weight > 0.0,
            "a batch of weight 0: none of its {} examples counts",
            batch.rows.len()
        );
        match alone {
            true => loss.sum.f_div_scalar(loss.weight)?.f_backward()?,
            false => loss.sum.f_backward()?,
        }
        let tokens: u64 = batch.lengths.iter().map(|length| u64::from(*length)).sum();
        self.state.seen.examples += batch.rows.len() as u64;
        self.state.seen.tokens += tokens;
        self.report.consumed(batch.rows.len() as u64, tokens);
        Ok((loss.sum.detach(), loss.weight))
    }

    /// Log, evaluation and checkpoint, as the settings ask for them after this step.
    fn after_step(&mut self, epoch_ends: bool, progress: f64) -> Result<Option<End>> {
        let step = self.state.position.step;
        let last = step == self.total;
        let due = |rhythm: Rhythm| match rhythm {
            Rhythm::Steps(every) => step.is_multiple_of(every),
            Rhythm::Epoch => epoch_ends,
            Rhythm::Never => false,
        };
        let settings = self.settings();
        let (log, eval, save) = (
            step.is_multiple_of(settings.log_every),
            due(settings.eval_every),
            due(settings.save_every),
        );
        if log || last {
            self.log(progress)?;
        }
        if eval || last {
            self.state.pending_evaluation = self.validation.is_some();
        }
        let end = self.evaluate_and_save(save || last)?;
        // After the last step nothing is left to stop but the evaluation.
        let finished = last && !self.state.pending_evaluation;
        Ok(end.filter(|end| !(finished && *end == End::Interrupted)))
    }

    fn is_out_of_patience(&self) -> bool {
        let patience = self.settings().patience;
        patience.is_some_and(|patience| self.state.stale >= patience)
    }

    /// Makes the evaluation that is due, then saves when asked to or when the run ends here. An
    /// interruption leaves the evaluation due: the resumed run makes it.
    fn evaluate_and_save(&mut self, save: bool) -> Result<Option<End>> {
        let aside = Instant::now();
        let mut end = services::interrupted().then_some(End::Interrupted);
        if self.state.pending_evaluation && end.is_none() {
            let position = &self.state.position;
            services::at(self.seed, position.epoch, position.step);
            end = match self.validate() {
                Ok(end) => {
                    self.state.pending_evaluation = false;
                    end
                }
                Err(error) if error.is::<Stopped>() => Some(End::Interrupted),
                Err(error) => return Err(error),
            };
        }
        if save || end.is_some() {
            self.save()?;
        }
        self.aside += aside.elapsed().as_secs_f64();
        Ok(end)
    }

    fn log(&mut self, progress: f64) -> Result<()> {
        let step = self.state.position.step;
        let loss = self.loss.take()?;
        self.check_finite("loss", loss)?;
        self.report.log_step(step, progress, loss)
    }

    fn check_finite(&self, what: &str, value: f64) -> Result<()> {
        let step = self.state.position.step;
        ensure!(
            value.is_finite(),
            "the {what} is {value} at step {step}; the last checkpoint is untouched; try a lower \
             train.learning_rate, a warm-up, or train.max_grad_norm"
        );
        Ok(())
    }

    /// Evaluates, and keeps the parameters when they are the best so far.
    fn validate(&mut self) -> Result<Option<End>> {
        let Some(validation) = &self.validation else {
            return Ok(None);
        };
        let settings = &self.session.settings.evaluate;
        let how = How {
            what: "evaluating",
            generate: settings.generate == Generate::Always,
            limit: settings.generate_limit.map(|limit| limit as usize),
        };
        let found = services::with_artifacts(Split::Validation.name(), || {
            evaluate(self.session, validation, how, |_, _| Ok(()))
        })?;
        // Only what is as whole as at the end will do then.
        self.partial = validation.prompts.is_some() && (!how.generate || how.limit.is_some());
        let step = self.state.position.step;
        let settings = self.session.settings.train.clone();
        let mut end = None;
        let mut better = false;
        if let Some(select) = &settings.select_best {
            let (value, higher) = found.find(&select.score).with_context(|| {
                let names: Vec<_> = found
                    .scores
                    .iter()
                    .map(|named| named.score.name.as_str())
                    .collect();
                format!(
                    "train.select_best: no score `{}` among loss, {}",
                    select.score,
                    names.join(", ")
                )
            })?;
            let maximise = match select.mode {
                Some(mode) => mode == Mode::Max,
                None => higher.with_context(|| {
                    format!("train.select_best: whether a higher `{}` is better is not known; set train.mode", select.score)
                })?,
            };
            better = match &self.state.best {
                Some(best) if maximise => value > best.value,
                Some(best) => value < best.value,
                None => !value.is_nan(),
            };
            if better {
                self.state.best = Some(Best { step, value });
                self.state.stale = 0;
                self.checkpoints.save_best(&self.optimizer)?;
            } else {
                self.state.stale += 1;
                end = self.is_out_of_patience().then_some(End::EarlyStopped);
            }
        }
        self.report
            .log_evaluation("validation", step, &found, better)?;
        self.latest = Some((step, found));
        Ok(end)
    }

    fn save(&mut self) -> Result<()> {
        self.loss.store(&mut self.state)?;
        // What is saved must be worth going on from.
        self.check_finite("loss", self.state.loss.total)?;
        self.check_finite("gradient's norm", self.report.grad_norm()?)?;
        self.state.log_bytes = self.report.sync()?;
        let path = self.checkpoints.save(&self.state, &self.optimizer)?;
        tracing::debug!("saved {}", path.display());
        Ok(())
    }

    /// Goes back to the parameters of the best evaluation, if the settings select them; returns
    /// the step after which it was made.
    ///
    /// # Errors
    /// The best checkpoint cannot be read.
    pub fn restore_best(&mut self) -> Result<Option<u64>> {
        let Some(best) = self.state.best.clone() else {
            return Ok(None);
        };
        if best.step != self.state.position.step {
            self.checkpoints.load_best(&mut self.optimizer)?;
        }
        Ok(Some(best.step))
    }

    /// Mean loss of all steps of the run, the parts before an interruption included.
    ///
    /// # Errors
    /// libtorch fails.
    pub fn mean_loss(&self) -> Result<f64> {
        self.loss.mean(self.state.position.step)
    }

    /// What an evaluation of the parameters as they are now finds on the validation data; the
    /// latest one serves when it was made of them.
    ///
    /// # Errors
    /// As for [`evaluate`].
    pub fn final_validation(&mut self) -> Result<Option<Evaluation>> {
        let step = match &self.state.best {
            Some(best) => best.step,
            None => self.state.position.step,
        };
        match (self.latest.take(), &self.validation) {
            (Some((made_after, found)), Some(_)) if made_after == step && !self.partial => {
                Ok(Some(found))
            }
            (_, Some(validation)) => {
                let name = Split::Validation.name();
                self.evaluate(validation, name).map(Some)
            }
            (_, None) => Ok(None),
        }
    }

    /// Evaluates a split with the parameters as they are now.
    ///
    /// # Errors
    /// As for [`evaluate`].
    pub fn evaluate(&self, part: &Part, what: &str) -> Result<Evaluation> {
        let how = How {
            generate: self.session.settings.evaluate.generate != Generate::Never,
            ..How::whole(what)
        };
        services::with_artifacts(what, || evaluate(self.session, part, how, |_, _| Ok(())))
    }
}

/// Digest of the data: the lengths of all examples, in order. It is cheap, and notices rows that came,
/// went, moved or grew; not an edit that leaves every example as long as it was.
fn digest(train: &Prepared, validation: Option<&Prepared>) -> String {
    let mut hasher = Sha256::new();
    for prepared in [Some(train), validation].into_iter().flatten() {
        hasher.update((prepared.len() as u64).to_le_bytes());
        for length in prepared.lengths().iter() {
            hasher.update(length.to_le_bytes());
        }
    }
    hex(&hasher.finalize())
}

/// What `summary.json` says of the training. Counts and the loss are those of the whole run;
/// seconds and speeds those of its last part, from `resumed_from_step` on, without evaluations and
/// checkpoints.
///
/// # Errors
/// libtorch fails.
pub fn training_summary(trainer: &Trainer<'_>, seconds: f64) -> Result<serde_json::Value> {
    let (seen, before) = (trainer.state.seen, trainer.before);
    let computing = (seconds - trainer.aside).max(1e-9);
    Ok(json!({
        "steps": trainer.state.position.step,
        "resumed_from_step": trainer.report.first_step(),
        "loss": trainer.mean_loss()?,
        "examples": seen.examples,
        "tokens": seen.tokens,
        "seconds": computing,
        "evaluation_and_checkpoint_seconds": trainer.aside,
        "examples_per_second": (seen.examples - before.examples) as f64 / computing,
        "tokens_per_second": (seen.tokens - before.tokens) as f64 / computing,
    }))
}
