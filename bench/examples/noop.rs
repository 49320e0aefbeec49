//! The components that do nothing, as a plugin.

use tenon_bench::{Blind, Echo, Through};

tenon_plugin_api::register!(metric: Blind, model: Echo, peft: Through);
