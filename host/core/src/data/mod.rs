//! The data path: from files to collated batches.
//!
//! ```text
//! Source ─ files of one format            source.rs, format.rs
//!   └ Dataset ─ rows by number            dataset.rs, text/, parquet.rs
//!       └ View ─ a split or subset        split.rs, groups.rs, labels.rs
//!           └ Prepared ─ encoded examples prepare.rs, packing.rs, store.rs (cached on disk)
//!               └ Plan ─ which examples make batch k   plan.rs
//!                   └ Loader ─ batches, in plan order  loader.rs, collate.rs
//! ```
//!
//! Three properties hold everywhere. Memory is flat: files are read by position, never as a
//! whole, and what is kept per row is a few bytes. Results are a function of the files, the
//! options and the seed: never of thread count, timing or platform ([`rng`]). And a fault names
//! its file and line ([`Location`]).
//!
//! Files are read with positioned reads rather than memory maps: a mapped file that another
//! process shortens kills this one with SIGBUS, mapping needs `unsafe`, and mapped pages count
//! as resident memory, while a read into a reused buffer costs a fraction of parsing the row.
#![forbid(unsafe_code)]

pub mod rng;

mod collate;
mod dataset;
mod error;
mod example;
mod format;
mod groups;
mod labels;
mod lengths;
mod loader;
mod packing;
mod parquet;
mod plan;
mod prepare;
mod ring;
mod rows;
mod source;
mod split;
mod store;
mod text;
mod tokenize;
mod value;
mod view;

pub use collate::{Batch, Buffer, CollateOptions, Collated, Layout, PadSide, collate};
pub use dataset::{BadRows, Dataset, OpenOptions, Reader, Skipped, columns, probe};
pub(crate) use error::quoted;
pub use error::{BoxError, DataError, Location, RowProblem};
pub use example::{Collate, DType, Encode, Examples, Field, FieldSpec, RecordError};
pub use format::{Documents, Encoding, Format, FormatFault, FormatKind, FormatOptions};
pub use groups::split_groups;
pub use labels::{Labels, MAX_LABELS};
pub use lengths::Lengths;
pub use loader::{Loader, LoaderOptions};
pub use packing::Packing;
pub use plan::{BatchSize, Order, Padding, Plan, PlanOptions, Restored};
pub use prepare::{PrepareOptions, Prepared, Streamed};
pub(crate) use ring::in_order;
pub use rows::Rows;
pub use source::{Source, SourceFile, SourceSpec};
pub use split::{SplitOptions, split};
pub use store::{CacheKey, ExampleStore, prune_cache};
pub use tokenize::{
    EncodeOptions, Encoding as TokenEncoding, HfTokenizer, Tokenize, TokenizerError, Truncation,
};
pub use value::{Projection, Record, Value};
pub use view::{View, ViewReader};
