//! Forwards a plugin's `tracing` spans and events to the host.
//!
//! Each dynamic library has its own `tracing` dispatcher, so without this a plugin's events would
//! go nowhere. Spans nest in the host's, and the host's filters decide.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};

use crate::abi::services::{CURRENT_SPAN, HostServicesRef, NO_SPAN, RawMetadata};

/// Installs the forwarder. Only for a library that was opened: in a program that links the plugin
/// the host's own dispatcher serves both, and a forwarder would forward to itself.
pub(crate) fn install(host: HostServicesRef) {
    let _ = tracing::subscriber::set_global_default(Forwarder { host });
}

struct Forwarder {
    host: HostServicesRef,
}

impl Subscriber for Forwarder {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The host's filter may change, so each time it is asked anew.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.host.enabled()(raw(metadata))
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let fields = Fields::of(|fields| span.record(fields));
        let parent = parent(span.parent(), span.is_root());
        match self.host.new_span()(raw(span.metadata()), fields.as_str().into(), parent) {
            0 => Id::from_u64(NO_SPAN),
            id => Id::from_u64(id),
        }
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if let Some(id) = known(span) {
            let fields = Fields::of(|fields| values.record(fields));
            self.host.record()(id, fields.as_str().into());
        }
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let fields = Fields::of(|fields| event.record(fields));
        let parent = parent(event.parent(), event.is_root());
        self.host.event()(raw(event.metadata()), fields.as_str().into(), parent);
    }

    fn enter(&self, span: &Id) {
        if let Some(id) = known(span) {
            self.host.enter()(id);
        }
    }

    fn exit(&self, span: &Id) {
        if let Some(id) = known(span) {
            self.host.exit()(id);
        }
    }

    fn clone_span(&self, span: &Id) -> Id {
        if let Some(id) = known(span) {
            self.host.clone_span()(id);
        }
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        if let Some(id) = known(&span) {
            self.host.close_span()(id);
        }
        false
    }
}

/// The span's id in the host, if the host has it.
fn known(span: &Id) -> Option<u64> {
    Some(span.into_u64()).filter(|id| *id != NO_SPAN)
}

fn parent(explicit: Option<&Id>, root: bool) -> u64 {
    match explicit {
        Some(id) => id.into_u64(),
        None if root => NO_SPAN,
        None => CURRENT_SPAN,
    }
}

fn raw<'a>(metadata: &Metadata<'a>) -> RawMetadata<'a> {
    let level = match *metadata.level() {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    };
    RawMetadata {
        level,
        target: metadata.target().into(),
        name: if metadata.is_span() {
            metadata.name().into()
        } else {
            "".into()
        },
        file: metadata.file().unwrap_or("").into(),
        line: metadata.line().unwrap_or(0),
    }
}

/// Fields as text: the message first, then ` key=value`.
struct Fields(String);

impl Fields {
    fn of(record: impl FnOnce(&mut dyn Visit)) -> String {
        let mut fields = Self(String::new());
        record(&mut fields);
        fields.0
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.0.insert_str(0, value);
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.insert_str(0, &format!("{value:?}"));
            return;
        }
        let gap = if self.0.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(self.0, "{gap}{}={value:?}", field.name());
    }
}
