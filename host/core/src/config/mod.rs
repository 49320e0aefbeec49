//! Run files: layers, origins, the check of everything at once, and the settings that result.
//!
//! [`load`] reads a run file with all its layers into a [`Draft`]; [`Draft::check`] holds it
//! against the schema of the run file and of the components that it names, and gives either all
//! faults ([`Report`]) or the settings ([`Resolved`]). No weight is loaded, no plugin opened:
//! components come from a [`Catalog`], columns of data from a [`Probe`].
//!
//! What users write is in [`options`], what the program uses is [`RunSettings`].

pub mod options;

mod assignments;
mod catalog;
mod columns;
mod components;
mod differences;
mod draft;
mod editor;
mod files;
mod keypath;
mod layers;
mod merge;
mod metrics;
mod origin;
mod paths;
mod reference;
mod report;
mod resolved;
mod rules;
mod schema;
mod settings;
mod sites;
mod source;
pub(crate) mod suggest;
mod templates;
mod tree;
mod unknown;
mod validate;
mod words;

pub use catalog::{Catalog, ComponentInfo, Kind, LookupError, Probe};
pub use differences::differences;
pub use draft::{Draft, Purpose, load};
pub use editor::schema;
pub use layers::LoadRequest;
pub use metrics::metrics;
pub use origin::Origin;
pub use reference::{component_reference, reference};
pub use report::{Code, Fault, Note, Report};
pub use resolved::Resolved;
pub use settings::{
    AllowedPlugin, Batch, ComponentSettings, DataSettings, Device, EvaluateSettings, HeldOut,
    Length, MetricSettings, ModelSettings, PluginSettings, Pretrained, PromptSettings, Rhythm,
    RunSection, RunSettings, SelectBest, SourceSettings, TokenizerSettings, TokenizerTrainSettings,
    TrainSettings, Warmup,
};
pub use words::expected;
