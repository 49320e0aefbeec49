//! Components that do what they should, but for the method that their options name: there they
//! panic, or fail with an error that has a chain of causes.

mod metric;
mod model;
mod options;
mod peft;
mod processor;
mod task;

pub use metric::FaultyMetric;
pub use model::FaultyModel;
pub use options::Faults;
pub use peft::FaultyPeft;
pub use processor::FaultyProcessor;
pub use task::FaultyTask;

tenon_plugin_api::register!(
    metric: FaultyMetric,
    task: FaultyTask,
    model: FaultyModel,
    peft: FaultyPeft,
    processor: FaultyProcessor,
);
