//! Panics are caught inside the plugin, with their location, and become errors.
//!
//! A panic that leaves an ABI function aborts the process even when the host would catch it, so
//! every generated adapter runs its author's code inside [`guard`], destructors included.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use abi_stable::std_types::RResult;

use crate::abi::AbiResult;
use crate::error::{Error, ErrorCode, Result};

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
            // A thread that is ending may have no slot any more: then the location is lost.
            let _ = LOCATION.try_with(|slot| slot.replace(location));
        }));
    });
}

/// Runs an author's code; a panic becomes an [`ErrorCode::Panic`] error with its location.
pub(crate) fn guard<T>(component: &str, body: impl FnOnce() -> Result<T>) -> AbiResult<T> {
    let error = match catch(body) {
        Ok(Ok(value)) => return RResult::ROk(value),
        Ok(Err(error)) => error,
        Err(caught) => caught.into_error(),
    };
    let error = match error.component() {
        Some(_) => error,
        None => error.with_component(component),
    };
    RResult::RErr(error.into())
}

/// Runs code of the host that answers no result; a panic in it gives the fallback.
pub(crate) fn contain<T>(fallback: T, body: impl FnOnce() -> T) -> T {
    catch(body).unwrap_or_else(|caught| {
        caught.forget();
        fallback
    })
}

/// Runs code on whatever thread; a panic is kept to be raised again elsewhere.
pub(crate) fn catch<T>(body: impl FnOnce() -> T) -> Result<T, Caught> {
    DEPTH.set(DEPTH.get() + 1);
    let outcome = panic::catch_unwind(AssertUnwindSafe(body));
    DEPTH.set(DEPTH.get() - 1);
    outcome.map_err(|payload| Caught {
        payload,
        location: LOCATION.try_with(RefCell::take).unwrap_or_default(),
    })
}

/// A panic that was caught, with its location.
pub(crate) struct Caught {
    payload: Box<dyn Any + Send>,
    location: Option<String>,
}

impl Caught {
    /// Goes on with the panic, on this thread.
    pub(crate) fn resume(self) -> ! {
        let location = self.location;
        let _ = LOCATION.try_with(|slot| slot.replace(location));
        panic::resume_unwind(self.payload)
    }

    fn into_error(self) -> Error {
        let text = describe(&*self.payload);
        let location = self.location.clone();
        self.forget();
        let error = Error::new(ErrorCode::Panic, format!("panicked: {text}"));
        match location {
            Some(location) => error.with_location(location),
            None => error,
        }
    }

    /// Drops the payload, which may itself panic; there is nothing left to tell then.
    pub(crate) fn forget(self) {
        let payload = self.payload;
        if let Err(again) = panic::catch_unwind(AssertUnwindSafe(move || drop(payload))) {
            std::mem::forget(again);
        }
    }
}

/// Drops an author's value; a panic of its destructor is logged and goes no further.
pub(crate) fn discard<T>(component: &str, value: T) {
    let body = || {
        drop(value);
        Ok(())
    };
    if let RResult::RErr(error) = guard(component, body) {
        let error = Error::from(error);
        // The subscriber is not ours, and a panic in it must not leave either.
        if let Err(caught) = catch(|| tracing::error!("while it was dropped: {error}")) {
            caught.forget();
        }
    }
}

pub(crate) use contained::Contained;

mod contained {
    use std::mem::ManuallyDrop;
    use std::ops::{Deref, DerefMut};

    use super::discard;

    /// An author's value that is dropped by [`discard`].
    pub(crate) struct Contained<T> {
        component: &'static str,
        value: ManuallyDrop<T>,
    }

    impl<T> Contained<T> {
        pub(crate) fn new(component: &'static str, value: T) -> Self {
            let value = ManuallyDrop::new(value);
            Self { component, value }
        }

        #[cfg(feature = "torch")]
        pub(crate) fn component(&self) -> &'static str {
            self.component
        }
    }

    impl<T> Deref for Contained<T> {
        type Target = T;

        fn deref(&self) -> &T {
            &self.value
        }
    }

    impl<T> DerefMut for Contained<T> {
        fn deref_mut(&mut self) -> &mut T {
            &mut self.value
        }
    }

    impl<T> Drop for Contained<T> {
        fn drop(&mut self) {
            // SAFETY: taken once, here, and not touched again.
            let value = unsafe { ManuallyDrop::take(&mut self.value) };
            discard(self.component, value);
        }
    }
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

fn describe(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "with a payload that is not text".to_owned())
}
