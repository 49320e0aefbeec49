//! A split, ready to be evaluated: its examples, its prompts, and its records.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use tenon_core::config::DataSettings;
use tenon_core::data::{Prepared, View};
use tenon_plugin_api::record::RecordBatch;

use crate::encoder::{self, TaskEncoder};
use crate::session::Session;

/// A split, ready to be evaluated.
#[derive(Clone)]
pub struct Part {
    view: View,
    /// What the loss, and predictions without generation, are computed of; `None` for a task that makes no examples.
    pub examples: Option<Arc<Prepared>>,
    /// What the model is to go on with; `None` for a task that generates nothing.
    pub prompts: Option<Arc<Prepared>>,
    encoder: Arc<TaskEncoder>,
}

impl Part {
    /// Encodes a split of the run's data, with a progress bar.
    ///
    /// # Errors
    /// A bad row or record, or the user stopped it.
    pub fn prepare(session: &Session, view: &View, what: &str) -> Result<Self> {
        let data = &session.settings.data;
        let labels = &session.found.labels;
        let info = &session.task_info;
        let make = || Self::encoder(session, data, labels);
        let mut encoder = make();
        let mut examples = None;
        if !info.fields.is_empty() {
            encoder.only_fields_of(view);
            examples = Some(encode(session, view, encoder, data, what)?);
        }
        let mut prompts = None;
        if !info.prompt.is_empty() {
            let encoder = make().for_prompts(info);
            let what = format!("{what} prompts");
            prompts = Some(encode(session, view, encoder, data, &what)?);
        }
        Ok(Self {
            view: view.clone(),
            examples,
            prompts,
            encoder: Arc::new(make()),
        })
    }

    /// Encodes inputs that have no references, to predict.
    ///
    /// # Errors
    /// A record cannot be encoded, or the user stopped it.
    pub fn of_inputs(session: &Session, settings: &DataSettings, view: &View) -> Result<Self> {
        let info = &session.task_info;
        let make = || {
            let mut encoder = Self::encoder(session, settings, &BTreeMap::new());
            encoder.without_references();
            encoder
        };
        let (mut examples, mut prompts) = (None, None);
        if !info.prompt.is_empty() {
            let encoder = make().for_prompts(info);
            prompts = Some(encoder::prepare_inputs(view, encoder)?);
        } else if !info.fields.is_empty() {
            let mut encoder = make();
            encoder.only_fields_of(view);
            examples = Some(encoder::prepare_inputs(view, encoder)?);
        }
        Ok(Self {
            view: view.clone(),
            examples: examples.map(Arc::new),
            prompts: prompts.map(Arc::new),
            encoder: Arc::new(make()),
        })
    }

    fn encoder(
        session: &Session,
        settings: &DataSettings,
        labels: &BTreeMap<String, Vec<String>>,
    ) -> TaskEncoder {
        TaskEncoder::new(
            Arc::clone(&session.task),
            Arc::clone(&session.tokenizer),
            &session.task_info,
            settings,
            labels,
        )
    }

    /// The number of records.
    pub fn records(&self) -> usize {
        self.view.len()
    }

    /// The number of predictions: of records for a task that concludes or generates, else of examples.
    pub fn predictions(&self) -> usize {
        match (&self.prompts, &self.examples) {
            (None, Some(examples)) => examples.len(),
            _ => self.records(),
        }
    }

    /// The rows of the data as the task reads them.
    ///
    /// # Errors
    /// A bad row.
    pub fn batch(&self, rows: &[usize]) -> Result<RecordBatch> {
        let records = self.view.get_many(rows)?;
        let batch = self.encoder.batch(&records);
        batch.map_err(|error| anyhow::anyhow!(error.source))
    }
}

/// The examples to train on.
///
/// # Errors
/// A bad row or record, a task that makes no examples, or the user stopped it.
pub fn training(session: &Session, view: &View, what: &str) -> Result<Arc<Prepared>> {
    let data = &session.settings.data;
    ensure!(
        !session.task_info.fields.is_empty(),
        "the task `{}` has nothing to train; use `tenon evaluate` or `tenon predict`",
        session.settings.task.id
    );
    let mut encoder = Part::encoder(session, data, &session.found.labels);
    encoder.without_overlap();
    encoder.only_fields_of(view);
    encode(session, view, encoder, data, what)
}

/// Encodes a view, or finds it in the cache.
fn encode(
    session: &Session,
    view: &View,
    encoder: TaskEncoder,
    data: &DataSettings,
    what: &str,
) -> Result<Arc<Prepared>> {
    let options = serde_json::to_string(&session.settings.task)?;
    let labels = serde_json::to_string(&session.found)?;
    let limit = format!(
        "{:?} {}",
        session.settings.tokenizer.max_length, session.model_info.max_length
    );
    let columns = serde_json::to_string(&data.columns)?;
    let plugin = session.registry.usable(&session.settings.task.plugin)?;
    let version = plugin
        .sha256()
        .map(|hash| hash.to_string())
        .unwrap_or_default();
    let model = serde_json::to_string(&session.facts)?;
    let prompts = if encoder.makes_prompts() { "yes" } else { "no" };
    let prompt = serde_json::to_string(&session.settings.prompt)?;
    let key = [
        ("task", options.as_str()),
        ("plugin", version.as_str()),
        ("labels", labels.as_str()),
        ("tokenizer", session.tokenizer_digest.as_str()),
        ("limit", limit.as_str()),
        ("columns", columns.as_str()),
        ("model", model.as_str()),
        ("prompts", prompts),
        ("prompt", prompt.as_str()),
    ];
    encoder::prepare(view, Arc::new(encoder), data, what, &key).map(Arc::new)
}
