//! Spans and events of plugins, put into the host's own `tracing` dispatcher.
//!
//! `tracing` wants metadata that lives for ever, one a place in the source. A plugin's places are
//! a fixed, small set, so one is made (and leaked) at the first use of each and kept in a table.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

use abi_stable::std_types::RStr;
use tracing::callsite::{Callsite, Identifier};
use tracing::dispatcher::get_default;
use tracing::field::{FieldSet, Value};
use tracing::metadata::Kind;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};

use crate::abi::services::RawMetadata;

/// The one field that carries a plugin's fields as text.
const FIELDS: &[&str] = &["message"];

struct Place {
    metadata: OnceLock<Metadata<'static>>,
}

impl Callsite for Place {
    fn set_interest(&self, _: Interest) {}

    fn metadata(&self) -> &Metadata<'_> {
        // Set by `place` before anyone sees the callsite.
        self.metadata
            .get()
            .unwrap_or_else(|| unreachable!("a place without metadata"))
    }
}

type Key = (u8, String, String, String, u32);

fn place(raw: &RawMetadata<'_>) -> &'static Metadata<'static> {
    static PLACES: RwLock<Option<HashMap<Key, &'static Place>>> = RwLock::new(None);
    let key = (
        raw.level,
        raw.target.to_string(),
        raw.name.to_string(),
        raw.file.to_string(),
        raw.line,
    );
    let known = PLACES.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(place) = known.as_ref().and_then(|places| places.get(&key)) {
        return place.metadata();
    }
    drop(known);
    let mut places = PLACES.write().unwrap_or_else(PoisonError::into_inner);
    let place = places
        .get_or_insert_default()
        .entry(key)
        .or_insert_with(|| make(raw));
    place.metadata()
}

fn make(raw: &RawMetadata<'_>) -> &'static Place {
    let keep = |text: RStr<'_>| -> &'static str { Box::leak(text.to_string().into_boxed_str()) };
    let place: &'static Place = Box::leak(Box::new(Place {
        metadata: OnceLock::new(),
    }));
    let is_span = !raw.name.is_empty();
    let metadata = Metadata::new(
        if is_span { keep(raw.name) } else { "event" },
        keep(raw.target),
        level(raw.level),
        (!raw.file.is_empty()).then(|| keep(raw.file)),
        (raw.line > 0).then_some(raw.line),
        None,
        FieldSet::new(FIELDS, Identifier(place)),
        if is_span { Kind::SPAN } else { Kind::EVENT },
    );
    let _ = place.metadata.set(metadata);
    place
}

fn level(level: u8) -> Level {
    match level {
        1 => Level::ERROR,
        2 => Level::WARN,
        3 => Level::INFO,
        4 => Level::DEBUG,
        _ => Level::TRACE,
    }
}

/// Passes the fields' text on as the `message` field, or as no field when there is none.
macro_rules! with_values {
    ($metadata:expr, $text:expr, |$values:ident| $body:expr) => {{
        let fields = $metadata.fields();
        match fields.field("message").filter(|_| !$text.is_empty()) {
            Some(field) => {
                let text = format_args!("{}", $text);
                let entries = [(&field, Some(&text as &dyn Value))];
                let $values = &fields.value_set(&entries);
                $body
            }
            None => {
                let entries: [(&tracing::field::Field, Option<&dyn Value>); 0] = [];
                let $values = &fields.value_set(&entries);
                $body
            }
        }
    }};
}

pub(super) extern "C" fn enabled(raw: RawMetadata<'_>) -> bool {
    if level(raw.level) > tracing::level_filters::LevelFilter::current() {
        return false;
    }
    let metadata = place(&raw);
    get_default(|dispatch| dispatch.enabled(metadata))
}

pub(super) extern "C" fn event(raw: RawMetadata<'_>, text: RStr<'_>, parent: u64) {
    let metadata = place(&raw);
    with_values!(metadata, text, |values| match parent {
        0 => Event::dispatch(metadata, values),
        id => Event::child_of(Id::from_u64(id), metadata, values),
    });
}

pub(super) extern "C" fn new_span(raw: RawMetadata<'_>, text: RStr<'_>, parent: u64) -> u64 {
    let metadata = place(&raw);
    with_values!(metadata, text, |values| {
        let attributes = match parent {
            0 => Attributes::new(metadata, values),
            id => Attributes::child_of(Id::from_u64(id), metadata, values),
        };
        get_default(|dispatch| dispatch.new_span(&attributes).into_u64())
    })
}

pub(super) extern "C" fn record(span: u64, text: RStr<'_>) {
    // The place of the span is not known any more; its one field is the same at each place.
    static PLACE: OnceLock<&'static Place> = OnceLock::new();
    let raw = || RawMetadata {
        level: 3,
        target: "".into(),
        name: "span".into(),
        file: "".into(),
        line: 0,
    };
    let metadata = PLACE.get_or_init(|| make(&raw())).metadata();
    with_values!(metadata, text, |values| {
        get_default(|dispatch| dispatch.record(&Id::from_u64(span), &Record::new(values)));
    });
}

pub(super) extern "C" fn enter(span: u64) {
    get_default(|dispatch| dispatch.enter(&Id::from_u64(span)));
}

pub(super) extern "C" fn exit(span: u64) {
    get_default(|dispatch| dispatch.exit(&Id::from_u64(span)));
}

pub(super) extern "C" fn clone_span(span: u64) {
    get_default(|dispatch| dispatch.clone_span(&Id::from_u64(span)));
}

pub(super) extern "C" fn close_span(span: u64) {
    get_default(|dispatch| dispatch.try_close(Id::from_u64(span)));
}
