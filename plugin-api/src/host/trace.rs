//! Spans and events of plugins, put into the host's own `tracing` dispatcher.
//!
//! `tracing` wants metadata that lives for ever, one a place in the source. A plugin's places are
//! a fixed, small set, so one is made (and leaked) at the first use of each and kept in a table.

use std::collections::HashMap;
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};

use abi_stable::std_types::RStr;
use tracing::callsite::{Callsite, Identifier};
use tracing::dispatcher::get_default;
use tracing::field::{FieldSet, Value};
use tracing::level_filters::LevelFilter;
use tracing::metadata::Kind;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata};

use crate::abi::services::{CURRENT_SPAN, NO_SPAN, RawMetadata};
use crate::panic::contain;
use crate::services::mix;

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

/// Every place that was seen, by [`shape`].
static PLACES: LazyLock<RwLock<HashMap<u64, Vec<&'static Place>>>> = LazyLock::new(RwLock::default);

/// The metadata of a place, made at its first use. Later uses allocate nothing.
fn place(raw: &RawMetadata<'_>) -> &'static Metadata<'static> {
    let key = shape(raw);
    let find = |places: &HashMap<u64, Vec<&'static Place>>| {
        let alike = places.get(&key)?.iter();
        alike
            .map(|place| place.metadata())
            .find(|known| is(known, raw))
    };
    if let Some(known) = find(&PLACES.read().unwrap_or_else(PoisonError::into_inner)) {
        return known;
    }
    let mut places = PLACES.write().unwrap_or_else(PoisonError::into_inner);
    // Another thread may have made it since.
    if let Some(known) = find(&places) {
        return known;
    }
    let new = make(raw);
    places.entry(key).or_default().push(new);
    drop(places);
    // Filters on spans learn of the places that exist here; they may call us, so without the lock.
    tracing::callsite::register(new);
    new.metadata()
}

/// What is quick to see of a place; [`is`] tells those of the same shape apart.
fn shape(raw: &RawMetadata<'_>) -> u64 {
    let lengths = [raw.target.len(), raw.name.len(), raw.file.len()];
    let start = u64::from(raw.line) << 3 | u64::from(raw.level);
    lengths
        .into_iter()
        .fold(start, |hash, length| mix(hash ^ length as u64))
}

fn is(known: &Metadata<'_>, raw: &RawMetadata<'_>) -> bool {
    *known.level() == level(raw.level)
        && known.is_span() != raw.name.is_empty()
        && (raw.name.is_empty() || known.name() == raw.name.as_str())
        && known.line().unwrap_or(0) == raw.line
        && known.target() == raw.target.as_str()
        && known.file().unwrap_or("") == raw.file.as_str()
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
    if level(raw.level) > LevelFilter::current() {
        return false;
    }
    contain(false, || {
        let metadata = place(&raw);
        get_default(|dispatch| dispatch.enabled(metadata))
    })
}

pub(super) extern "C" fn event(raw: RawMetadata<'_>, text: RStr<'_>, parent: u64) {
    contain((), || {
        let metadata = place(&raw);
        with_values!(metadata, text, |values| match parent {
            CURRENT_SPAN => Event::dispatch(metadata, values),
            NO_SPAN => Event::child_of(None, metadata, values),
            id => Event::child_of(Id::from_u64(id), metadata, values),
        });
    });
}

pub(super) extern "C" fn new_span(raw: RawMetadata<'_>, text: RStr<'_>, parent: u64) -> u64 {
    contain(0, || {
        let metadata = place(&raw);
        with_values!(metadata, text, |values| {
            let attributes = match parent {
                CURRENT_SPAN => Attributes::new(metadata, values),
                NO_SPAN => Attributes::new_root(metadata, values),
                id => Attributes::child_of(Id::from_u64(id), metadata, values),
            };
            get_default(|dispatch| dispatch.new_span(&attributes).into_u64())
        })
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
    on(span, |dispatch, span| {
        let metadata = PLACE.get_or_init(|| make(&raw())).metadata();
        with_values!(metadata, text, |values| {
            dispatch.record(span, &Record::new(values));
        });
    });
}

pub(super) extern "C" fn enter(span: u64) {
    on(span, Dispatch::enter);
}

pub(super) extern "C" fn exit(span: u64) {
    on(span, Dispatch::exit);
}

pub(super) extern "C" fn clone_span(span: u64) {
    on(span, |dispatch, span| {
        dispatch.clone_span(span);
    });
}

pub(super) extern "C" fn close_span(span: u64) {
    on(span, |dispatch, span| {
        dispatch.try_close(span.clone());
    });
}

/// Tells the dispatcher something of a span. A subscriber may panic, on ids that it does not know
/// among others; that must not cross.
fn on(span: u64, tell: impl FnOnce(&Dispatch, &Id)) {
    contain((), || {
        let span = Id::from_u64(span);
        // The dispatcher wants a function that it may call again, and calls it once.
        let mut tell = Some(tell);
        get_default(|dispatch| {
            if let Some(tell) = tell.take() {
                tell(dispatch, &span);
            }
        });
    });
}
