//! Panics are caught inside the plugin, with their location, and become errors.
//!
//! A panic that leaves an ABI function aborts the process even when the host would catch it, so
//! every generated adapter runs its author's code inside [`guard`].

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use abi_stable::std_types::RResult;

use crate::abi::AbiResult;
use crate::error::{Error, ErrorCode, Result};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Installs the hook that records where a guarded panic happened.
///
/// Each dynamic library has its own standard library and so its own hook; outside of a guard the
/// previous hook runs as before.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if DEPTH.get() == 0 {
                return previous(info);
            }
            let location = info.location().map(ToString::to_string);
            LOCATION.with_borrow_mut(|slot| *slot = location);
        }));
    });
}

/// Runs an author's code; a panic becomes an [`ErrorCode::Panic`] error with its location.
pub(crate) fn guard<T>(component: &str, body: impl FnOnce() -> Result<T>) -> AbiResult<T> {
    DEPTH.set(DEPTH.get() + 1);
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    let error = match outcome {
        Ok(Ok(value)) => return RResult::ROk(value),
        Ok(Err(error)) => error,
        Err(payload) => {
            let text = describe(&*payload);
            // Dropping a payload may itself panic; there is nothing left to tell then.
            let _ = panic::catch_unwind(AssertUnwindSafe(move || drop(payload)));
            let error = Error::new(ErrorCode::Panic, format!("panicked: {text}"));
            match LOCATION.with_borrow_mut(Option::take) {
                Some(location) => error.with_location(location),
                None => error,
            }
        }
    };
    let error = match error.component() {
        Some(_) => error,
        None => error.with_component(component),
    };
    RResult::RErr(error.into())
}

fn describe(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "with a payload that is not text".to_owned())
}
