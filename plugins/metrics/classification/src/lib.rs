//! Metrics of classification and regression, equal to scikit-learn's and SciPy's.
//!
//! Where the libraries give a number, so do these, to 1e-12. Where they refuse
//! or warn:
//!
//! | case | scikit-learn 1.9, SciPy 1.17 | here |
//! | --- | --- | --- |
//! | no example | raises | NaN; no score a class; a matrix of zeros |
//! | 0/0 in precision, recall, F1 | warns, `zero_division` | `zero_division` |
//! | `average = "binary"` on more than two classes, or on two without the positive | raises | error |
//! | MCC with one class only | 0 | 0 |
//! | ROC-AUC with one class only | warns, NaN | NaN |
//! | correlation of a constant or of one pair | warns or raises | NaN |
//!
//! Counts and stored pairs are merged, never averages, so that the metric of
//! merged shards is the metric of the whole.

mod averaging;
mod classes;

mod accuracy;
mod confusion_matrix;
mod f1;
mod mcc;
mod pearson;
mod precision;
mod recall;
mod roc_auc;
mod spearman;

pub use accuracy::Accuracy;
pub use averaging::{Average, AveragingOptions, ZeroDivision};
pub use confusion_matrix::ConfusionMatrix;
pub use f1::F1;
pub use mcc::Mcc;
pub use pearson::Pearson;
pub use precision::Precision;
pub use recall::Recall;
pub use roc_auc::RocAuc;
pub use spearman::Spearman;

tenon_plugin_api::register!(
    metric: Accuracy,
    metric: Precision,
    metric: Recall,
    metric: F1,
    metric: Mcc,
    metric: RocAuc,
    metric: ConfusionMatrix,
    metric: Pearson,
    metric: Spearman,
);
