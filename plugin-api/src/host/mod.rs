//! The host's side: opening a plugin's table and calling its components in safe Rust.
//!
//! Plugin authors do not need this. A host finds the header symbol in a library (the one place
//! that needs `unsafe`), gives it to [`Plugin::from_symbol`], and works with typed handles.

mod handles;
mod services;
mod trace;

#[cfg(feature = "torch")]
pub use handles::{AttachedHandle, BuildHost, ModelHandle, PeftHandle, SiteHost};
pub use handles::{MetricHandle, ProcessorHandle, TaskHandle};
pub use services::{Services, set_services};

use std::sync::Arc;

use abi_stable::StableAbi;
use abi_stable::abi_stability::abi_checking::{
    AbiInstability, AbiInstabilityErrors, check_layout_compatibility,
};
use abi_stable::library::{AbiHeaderRef, LibHeader};
use abi_stable::type_layout::{TLFieldOrFunction, TypeLayout};
use thiserror::Error;

use crate::abi::root::PluginRootRef;
use crate::abi::{AbiResult, answer, from_json};

/// Why a library's table cannot be used.
#[derive(Debug, Error)]
pub enum OpenError {
    /// It was built with another version of the ABI crate, or for another C ABI.
    #[error("it was built with an incompatible ABI layer ({0})")]
    Header(String),
    /// It carries no description of its types.
    #[error("it carries no type layouts, so it cannot be checked")]
    NoLayout,
    /// Its types differ from ours in both directions of the check.
    #[error("its types differ from the host's: {first}")]
    Layout {
        /// The first difference, in one line.
        first: String,
        /// Everything that differs, for `--verbose`.
        dump: String,
    },
    /// Its table could not be made.
    #[error("it could not make its table: {0}")]
    Table(String),
    /// Its start failed.
    #[error("its start failed: {0}")]
    Start(crate::Error),
}

/// An opened plugin.
#[derive(Clone, Copy)]
pub struct Plugin {
    root: PluginRootRef,
    name: &'static str,
}

impl Plugin {
    /// Checks the header behind a library's `tenon_plugin_…` symbol and takes its table.
    ///
    /// The layout is checked both ways: an older plugin lacks the newest entries, a newer one has
    /// more of them; either is fine as long as the shared ones agree.
    ///
    /// # Safety
    /// `symbol` is the address of a symbol that `register!` exported, in a library that is never
    /// unloaded.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub unsafe fn from_symbol(symbol: *const std::ffi::c_void) -> Result<Self, OpenError> {
        crate::panic::install_hook();
        // The check walks what the library says of its types, and a wrong library may say anything.
        let checked = crate::panic::catch(|| {
            // SAFETY: as this function's.
            unsafe { check(symbol) }
        });
        let root = checked.unwrap_or_else(|caught| {
            caught.forget();
            Err(OpenError::Header("the check of its types panicked".into()))
        })?;
        answer(root.start()(services::table())).map_err(OpenError::Start)?;
        Ok(Self::of(root))
    }

    /// The plugin of a crate that is linked into this program: `Plugin::linked(tenon_bert::tenon_plugin())`.
    ///
    /// It shares the program's panic hook and `tracing` dispatcher, so unlike an opened library it
    /// needs none of its own.
    #[must_use]
    pub fn linked(root: PluginRootRef) -> Self {
        crate::panic::install_hook();
        crate::services::install(services::table());
        Self::of(root)
    }

    fn of(root: PluginRootRef) -> Self {
        let manifest = from_json::<serde_json::Value>(root.manifest()().as_str());
        let package = manifest
            .as_ref()
            .ok()
            .and_then(|all| all["package"].as_str());
        let name = package.unwrap_or("plugin");
        let name = name.strip_prefix("tenon-").unwrap_or(name).to_owned();
        // A plugin is never closed, so its name may live as long.
        Self {
            root,
            name: name.leak(),
        }
    }

    /// The plugin's name: its package's without a leading `tenon-`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    fn component(&self, id: &str) -> Component {
        Component(format!("{}::{id}", self.name).into())
    }

    /// The manifest: one line of JSON.
    #[must_use]
    pub fn manifest(&self) -> &'static str {
        self.root.manifest()().as_str()
    }

    /// Creates a metric from its options as JSON.
    ///
    /// # Errors
    /// The plugin has no such metric, or it refuses the options.
    pub fn metric(&self, id: &str, options: &str) -> crate::Result<MetricHandle> {
        let from = self.component(id);
        from.answer(self.root.metric()(id.into(), options.into()))
            .map(|object| MetricHandle::new(object, from))
    }

    /// Creates a task from its options as JSON.
    ///
    /// # Errors
    /// The plugin has no such task, or it refuses the options.
    pub fn task(&self, id: &str, options: &str) -> crate::Result<TaskHandle> {
        let from = self.component(id);
        from.answer(self.root.task()(id.into(), options.into()))
            .map(|object| TaskHandle::new(object, from))
    }

    /// Creates a processor from its options as JSON.
    ///
    /// # Errors
    /// The plugin has no such processor, or it refuses the options.
    pub fn processor(&self, id: &str, options: &str) -> crate::Result<ProcessorHandle> {
        let from = self.component(id);
        let create = self.root.processor().ok_or_else(|| {
            crate::Error::unsupported("the plugin is older than processors")
                .with_component(&*from.0)
        })?;
        from.answer(create(id.into(), options.into()))
            .map(|object| ProcessorHandle::new(object, from))
    }

    /// The options that an `adapter_config.json` describes.
    ///
    /// # Errors
    /// The method cannot express what the file asks for.
    pub fn import_adapter(
        &self,
        id: &str,
        config: &str,
    ) -> crate::Result<serde_json::Map<String, serde_json::Value>> {
        let from = self.component(id);
        let options = from.answer(self.root.import_adapter()(id.into(), config.into()))?;
        from_json(options.as_str())
    }

    /// Builds a model from its options as JSON with the parameters that `build` provides.
    ///
    /// # Errors
    /// The plugin has no such model, or building fails.
    #[cfg(feature = "torch")]
    pub fn model(
        &self,
        id: &str,
        options: &str,
        build: impl BuildHost,
    ) -> crate::Result<ModelHandle> {
        let build = handles::build::serve(build);
        let from = self.component(id);
        from.answer(self.root.model()(id.into(), options.into(), build))
            .map(|object| ModelHandle::new(object, from))
    }

    /// Creates a PEFT method from its options as JSON.
    ///
    /// # Errors
    /// The plugin has no such method, or it refuses the options.
    #[cfg(feature = "torch")]
    pub fn peft(&self, id: &str, options: &str) -> crate::Result<PeftHandle> {
        let from = self.component(id);
        from.answer(self.root.peft()(id.into(), options.into()))
            .map(|object| PeftHandle::new(object, from))
    }
}

/// A component's full name, put on the errors that come from it.
#[derive(Clone)]
struct Component(Arc<str>);

impl Component {
    /// One of this program, which has no plugin's name.
    fn here(id: &str) -> Self {
        crate::panic::install_hook();
        crate::services::install(services::table());
        Self(id.into())
    }

    fn answer<T>(&self, result: AbiResult<T>) -> crate::Result<T> {
        answer(result).map_err(|error| match error.component() {
            // A service of the host that the component called, or a component within it.
            Some(other) if !self.is(other) => error,
            _ => error.with_component(&*self.0),
        })
    }

    /// Inside its plugin a component is known by its short name.
    fn is(&self, short: &str) -> bool {
        self.0.rsplit("::").next() == Some(short)
    }
}

/// Checks the header and takes the table.
///
/// # Safety
/// As [`Plugin::from_symbol`].
unsafe fn check(symbol: *const std::ffi::c_void) -> Result<PluginRootRef, OpenError> {
    if symbol.is_null() {
        return Err(OpenError::Header("its symbol is null".into()));
    }
    // SAFETY: the caller vouches for the symbol; `AbiHeaderRef` is a transparent reference to
    // what stands there, and `upgrade` checks its magic string before anything else.
    let header: AbiHeaderRef = unsafe { std::mem::transmute(symbol) };
    let header = header
        .upgrade()
        .map_err(|error| OpenError::Header(first_line(&error.to_string())))?;
    check_layout(header)?;
    // SAFETY: one of the two layouts extends the other, and every entry that may be missing
    // is looked up through its prefix accessor.
    unsafe { header.unchecked_layout() }.map_err(|error| OpenError::Table(error.to_string()))
}

fn check_layout(header: &'static LibHeader) -> Result<(), OpenError> {
    let ours = <PluginRootRef as StableAbi>::LAYOUT;
    let theirs = header.layout().ok_or(OpenError::NoLayout)?;
    let Err(error) = differences(ours, theirs) else {
        return Ok(());
    };
    if differences(theirs, ours).is_ok() {
        return Ok(());
    }
    Err(OpenError::Layout {
        first: first_difference(&error),
        dump: error.to_string(),
    })
}

/// Whether `found` can be used where `expected` is, but for the version of this crate, which the
/// registry compares on its own terms (minor releases are additive).
fn differences(
    expected: &'static TypeLayout,
    found: &'static TypeLayout,
) -> Result<(), AbiInstabilityErrors> {
    let Err(mut error) = check_layout_compatibility(expected, found) else {
        return Ok(());
    };
    for error in error.errors.iter_mut() {
        error
            .errs
            .retain(|error| !matches!(error, AbiInstability::PackageVersion(_)));
    }
    error.errors.retain(|error| !error.errs.is_empty());
    if error.errors.is_empty() {
        Ok(())
    } else {
        Err(error)
    }
}

/// Names the first type that differs by where it stands in the table, and how it differs, in one
/// line: `start.cancelled.result: u32 instead of bool`.
fn first_difference(error: &AbiInstabilityErrors) -> String {
    let Some(first) = error.errors.first() else {
        return "no details".to_owned();
    };
    let mut place: Vec<&str> = Vec::new();
    for step in &first.stack_trace {
        let name = match &step.found {
            TLFieldOrFunction::Field(field) => field.name(),
            TLFieldOrFunction::Function(function) => function.name.as_str(),
        };
        let name = if name == "__returns" { "result" } else { name };
        // A field that is a function stands there as both; a pointer's target and a parameter of a
        // function's type have no names.
        let is_name = name.starts_with(|first: char| first.is_alphabetic());
        if is_name && place.last() != Some(&name) {
            place.push(name);
        }
    }
    let difference = first.errs.first().map_or_else(String::new, difference);
    match place.is_empty() {
        true => difference,
        false => format!("{}: {difference}", place.join(".")),
    }
}

fn difference(error: &AbiInstability) -> String {
    match error {
        AbiInstability::Name(types) => {
            format!("{} instead of {}", types.found, types.expected)
        }
        AbiInstability::FieldCountMismatch(count) => {
            format!("{} fields instead of {}", count.found, count.expected)
        }
        AbiInstability::MismatchedPrefixSize(count) => {
            format!(
                "{} first entries instead of {}",
                count.found, count.expected
            )
        }
        AbiInstability::Size(bytes) => {
            format!("{} bytes instead of {}", bytes.found, bytes.expected)
        }
        AbiInstability::UnexpectedField(field) => {
            let (found, expected) = (field.found.name(), field.expected.name());
            format!("`{found}` instead of `{expected}`")
        }
        // The variant's name says what differs; its fields are whole layouts.
        other => {
            let text = format!("{other:?}");
            let name = text.split(['(', ' ', '{']).next();
            name.unwrap_or_default().to_owned()
        }
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    line.unwrap_or("no details").to_owned()
}
