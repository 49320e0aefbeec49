//! Registration: how a plugin's components reach its table.
//!
//! `register!` at the root of a crate does all of it: each component goes into the library's own
//! `inventory`, the manifest into its linker section, and the table behind one exported symbol.
//! The symbol carries the crate's name, so the same crates can be linked into one program.

use abi_stable::library::{
    __call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult,
};
use abi_stable::prefix_type::PrefixTypeTrait;

use crate::abi::root::{
    BoxedBuild, BoxedMetric, BoxedModel, BoxedPeft, BoxedProcessor, BoxedTask, PluginRoot,
    PluginRootRef,
};
use crate::abi::services::HostServicesRef;
use crate::abi::{AbiResult, RStr, RString};
use crate::error::Error;
use crate::panic::guard;

/// A component in the library's inventory.
pub struct Registration {
    /// Package that registered it.
    pub package: &'static str,
    /// Its name.
    pub id: &'static str,
    /// How to create it.
    pub create: Create,
}

/// How a component of each kind is created.
pub enum Create {
    /// From options.
    Metric(fn(&str) -> AbiResult<BoxedMetric>),
    /// From options.
    Task(fn(&str) -> AbiResult<BoxedTask>),
    /// From options and a builder.
    Model(fn(&str, BoxedBuild) -> AbiResult<BoxedModel>),
    /// From options; and its options from an `adapter_config.json`.
    Peft(
        fn(&str) -> AbiResult<BoxedPeft>,
        fn(&str) -> AbiResult<RString>,
    ),
    /// From options.
    Processor(fn(&str) -> AbiResult<BoxedProcessor>),
}

inventory::collect!(Registration);

/// What `register!` says of the crate that it stands in.
pub trait Identity: 'static {
    /// `CARGO_PKG_NAME`.
    const PACKAGE: &'static str;
    /// The text in the linker section.
    fn manifest() -> &'static str;
}

/// The header that a plugin exports.
#[must_use]
pub const fn header<I: Identity>() -> LibHeader {
    extern "C" fn construct<I: Identity>() -> RootModuleResult {
        __call_root_module_loader(root::<I>)
    }
    // SAFETY: `construct` returns a `PluginRootRef` and nothing else.
    unsafe { LibHeader::from_constructor::<PluginRootRef>(construct::<I>, CheckTypeLayout::Yes) }
}

/// The table of the plugin `I`.
#[must_use]
pub fn root<I: Identity>() -> PluginRootRef {
    PluginRoot {
        manifest: manifest::<I>,
        start,
        metric: metric::<I>,
        task: task::<I>,
        model: model::<I>,
        peft: peft::<I>,
        import_adapter: import_adapter::<I>,
        processor: processor::<I>,
    }
    .leak_into_prefix()
}

extern "C" fn manifest<I: Identity>() -> RStr<'static> {
    I::manifest().into()
}

extern "C" fn start(host: HostServicesRef) -> AbiResult<()> {
    guard("start", || {
        crate::panic::install_hook();
        crate::services::install(host);
        crate::trace::install(host);
        Ok(())
    })
}

fn find<I: Identity, T>(
    kind: &str,
    id: &str,
    pick: impl Fn(&'static Create) -> Option<T>,
) -> Result<T, Error> {
    let all = inventory::iter::<Registration>()
        .filter(|item| item.package == I::PACKAGE && item.id == id);
    let found = all.filter_map(|item| pick(&item.create)).next();
    found.ok_or_else(|| Error::unsupported(format!("package {} has no {kind} `{id}`", I::PACKAGE)))
}

extern "C" fn metric<I: Identity>(id: RStr<'_>, options: RStr<'_>) -> AbiResult<BoxedMetric> {
    let pick = |create: &'static Create| match create {
        Create::Metric(create) => Some(create),
        _ => None,
    };
    match find::<I, _>("metric", id.as_str(), pick) {
        Ok(create) => create(options.as_str()),
        Err(error) => AbiResult::RErr(error.into()),
    }
}

extern "C" fn task<I: Identity>(id: RStr<'_>, options: RStr<'_>) -> AbiResult<BoxedTask> {
    let pick = |create: &'static Create| match create {
        Create::Task(create) => Some(create),
        _ => None,
    };
    match find::<I, _>("task", id.as_str(), pick) {
        Ok(create) => create(options.as_str()),
        Err(error) => AbiResult::RErr(error.into()),
    }
}

extern "C" fn model<I: Identity>(
    id: RStr<'_>,
    options: RStr<'_>,
    build: BoxedBuild,
) -> AbiResult<BoxedModel> {
    let pick = |create: &'static Create| match create {
        Create::Model(create) => Some(create),
        _ => None,
    };
    match find::<I, _>("model", id.as_str(), pick) {
        Ok(create) => create(options.as_str(), build),
        Err(error) => AbiResult::RErr(error.into()),
    }
}

extern "C" fn peft<I: Identity>(id: RStr<'_>, options: RStr<'_>) -> AbiResult<BoxedPeft> {
    let pick = |create: &'static Create| match create {
        Create::Peft(create, _) => Some(create),
        _ => None,
    };
    match find::<I, _>("peft", id.as_str(), pick) {
        Ok(create) => create(options.as_str()),
        Err(error) => AbiResult::RErr(error.into()),
    }
}

extern "C" fn processor<I: Identity>(id: RStr<'_>, options: RStr<'_>) -> AbiResult<BoxedProcessor> {
    let pick = |create: &'static Create| match create {
        Create::Processor(create) => Some(create),
        _ => None,
    };
    match find::<I, _>("processor", id.as_str(), pick) {
        Ok(create) => create(options.as_str()),
        Err(error) => AbiResult::RErr(error.into()),
    }
}

extern "C" fn import_adapter<I: Identity>(id: RStr<'_>, config: RStr<'_>) -> AbiResult<RString> {
    let pick = |create: &'static Create| match create {
        Create::Peft(_, import) => Some(import),
        _ => None,
    };
    match find::<I, _>("peft", id.as_str(), pick) {
        Ok(import) => import(config.as_str()),
        Err(error) => AbiResult::RErr(error.into()),
    }
}

/// Makes a crate a plugin: `register!(metric: ExactMatch, metric: F1);`, once, at its root.
///
/// Kinds are `metric`, `task`, `model`, `peft` and `processor`. The crate is built as `cdylib` to be opened by
/// a host, and may be an `rlib` as well, to be linked into one: `tenon_plugin()` then gives its
/// table.
#[macro_export]
macro_rules! register {
    ($($kind:ident : $component:ty),+ $(,)?) => {
        #[doc(hidden)]
        #[allow(missing_docs)]
        pub mod tenon_plugin_registration {
            #[allow(unused_imports)]
            use super::*;
            use $crate::__private as private;

            const SYMBOL: &str = concat!("tenon_plugin_", env!("CARGO_CRATE_NAME"));
            const PANIC: &str = if cfg!(panic = "abort") { "abort" } else { "unwind" };
            const TEXT: private::manifest::Writer<{ private::manifest::MAX_LEN }> = private::manifest::write(
                env!("CARGO_PKG_NAME"),
                env!("CARGO_PKG_VERSION"),
                PANIC,
                SYMBOL,
                &[$($crate::__declare!($kind $component)),+],
            );

            #[used]
            #[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".tenon"))]
            #[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__tenon"))]
            static MANIFEST: [u8; TEXT.len()] = TEXT.cut();

            pub struct This;

            impl private::register::Identity for This {
                const PACKAGE: &'static str = env!("CARGO_PKG_NAME");

                fn manifest() -> &'static str {
                    // The writer was given only whole strings.
                    ::core::str::from_utf8(&MANIFEST).unwrap_or_default()
                }
            }

            #[unsafe(export_name = concat!("tenon_plugin_", env!("CARGO_CRATE_NAME")))]
            pub static HEADER: private::LibHeader = private::register::header::<This>();

            $($crate::__submit!($kind $component);)+
        }

        /// The table of this plugin, for programs that link it.
        #[doc(hidden)]
        pub fn tenon_plugin() -> $crate::__private::PluginRootRef {
            $crate::__private::register::root::<tenon_plugin_registration::This>()
        }
    };
}

/// Describes a component for the manifest; part of `register!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __declare {
    (metric $t:ty) => {
        $crate::__private::manifest::Declaration {
            kind: "metric",
            id: <$t as $crate::metric::Metric>::ID,
            about: <$t as $crate::metric::Metric>::ABOUT,
            schema: <<$t as $crate::metric::Metric>::Options as $crate::options::Options>::SCHEMA,
            lists: &[
                (
                    "inputs",
                    <<$t as $crate::metric::Metric>::Input as $crate::metric::Input>::KINDS,
                ),
                (
                    "ignores",
                    $crate::__private::manifest::ignored(
                        <$t as $crate::metric::Metric>::IGNORES_REFERENCES,
                    ),
                ),
            ],
            sites: &[],
        }
    };
    (task $t:ty) => {
        $crate::__private::manifest::Declaration {
            kind: "task",
            id: <$t as $crate::task::Task>::ID,
            about: <$t as $crate::task::Task>::ABOUT,
            schema: <<$t as $crate::task::Task>::Options as $crate::options::Options>::SCHEMA,
            lists: &[("outputs", <$t as $crate::task::Task>::OUTPUTS)],
            sites: &[],
        }
    };
    (model $t:ty) => {
        $crate::__private::manifest::Declaration {
            kind: "model",
            id: <$t as $crate::model::Model>::ID,
            about: <$t as $crate::model::Model>::ABOUT,
            schema: <<$t as $crate::model::Model>::Options as $crate::options::Options>::SCHEMA,
            lists: &[
                ("model_types", <$t as $crate::model::Model>::MODEL_TYPES),
                ("offers", <$t as $crate::model::Model>::OFFERS),
                ("inputs", <$t as $crate::model::Model>::INPUTS),
                ("base_prefix", &[<$t as $crate::model::Model>::BASE_PREFIX]),
                ("ignores", <$t as $crate::model::Model>::IGNORES),
                (
                    "renames_from",
                    &$crate::__private::manifest::firsts::<
                        { <$t as $crate::model::Model>::RENAMES.len() },
                    >(<$t as $crate::model::Model>::RENAMES),
                ),
                (
                    "renames_to",
                    &$crate::__private::manifest::seconds::<
                        { <$t as $crate::model::Model>::RENAMES.len() },
                    >(<$t as $crate::model::Model>::RENAMES),
                ),
            ],
            sites: <$t as $crate::model::Model>::SITES,
        }
    };
    (peft $t:ty) => {
        $crate::__private::manifest::Declaration {
            kind: "peft",
            id: <$t as $crate::peft::Peft>::ID,
            about: <$t as $crate::peft::Peft>::ABOUT,
            schema: <<$t as $crate::peft::Peft>::Options as $crate::options::Options>::SCHEMA,
            lists: &[("peft_types", <$t as $crate::peft::Peft>::PEFT_TYPES)],
            sites: &[],
        }
    };
    (processor $t:ty) => {
        $crate::__private::manifest::Declaration {
            kind: "processor",
            id: <$t as $crate::processor::Processor>::ID,
            about: <$t as $crate::processor::Processor>::ABOUT,
            schema:
                <<$t as $crate::processor::Processor>::Options as $crate::options::Options>::SCHEMA,
            lists: &[],
            sites: &[],
        }
    };
}

/// Puts a component into the inventory; part of `register!`.
#[doc(hidden)]
#[macro_export]
macro_rules! __submit {
    (metric $t:ty) => {
        $crate::__submit!(<$t as $crate::metric::Metric>::ID, Metric($crate::metric::create::<$t>));
    };
    (task $t:ty) => {
        $crate::__submit!(<$t as $crate::task::Task>::ID, Task($crate::task::create::<$t>));
    };
    (model $t:ty) => {
        $crate::__submit!(<$t as $crate::model::Model>::ID, Model($crate::model::create::<$t>));
    };
    (peft $t:ty) => {
        $crate::__submit!(<$t as $crate::peft::Peft>::ID, Peft($crate::peft::create::<$t>, $crate::peft::import::<$t>));
    };
    (processor $t:ty) => {
        $crate::__submit!(<$t as $crate::processor::Processor>::ID, Processor($crate::processor::create::<$t>));
    };
    ($id:expr, $kind:ident($($create:expr),+)) => {
        $crate::__private::inventory::submit! {
            $crate::__private::register::Registration {
                package: env!("CARGO_PKG_NAME"),
                id: $id,
                create: $crate::__private::register::Create::$kind($($create),+),
            }
        }
    };
}
