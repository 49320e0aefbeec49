//! The manifest: what a plugin brings, as JSON in a linker section, readable without opening it.
//!
//! `register!` builds it at compile time from the components' constants, so opening a library
//! (which runs its constructors) is never needed to know what it is.

/// Name of the linker section that holds the manifest.
#[cfg(not(target_vendor = "apple"))]
pub const SECTION: &str = ".tenon";
/// Name of the linker section that holds the manifest.
#[cfg(target_vendor = "apple")]
pub const SECTION: &str = "__DATA,__tenon";

/// Version of this crate, which a plugin records as the API it was built against.
pub const API_VERSION: &str = env!("CARGO_PKG_VERSION");

/// The libtorch that plugins with feature `torch` are built against.
#[cfg(feature = "torch")]
pub const TORCH_VERSION: Option<&str> = Some("2.11.0");
/// The libtorch that plugins with feature `torch` are built against.
#[cfg(not(feature = "torch"))]
pub const TORCH_VERSION: Option<&str> = None;

/// A place in a model where a PEFT method may attach, as the manifest declares it.
///
/// `path` is the name of the module with `{layer}` where the layer index goes, for example
/// `bert.encoder.layer.{layer}.attention.self.query`; `kind` is one of `linear`, `output`,
/// `key_value`, `embedding`.
#[derive(Clone, Copy, Debug)]
pub struct SiteDeclaration {
    /// What the site does in the architecture: `query`, `value`, `attention_output`, …
    pub role: &'static str,
    /// Module name with `{layer}` in it.
    pub path: &'static str,
    /// `linear`, `output`, `key_value` or `embedding`.
    pub kind: &'static str,
}

/// What the manifest says of one component.
#[derive(Clone, Copy, Debug)]
pub struct Declaration {
    /// `metric`, `task`, `model`, `peft` or `processor`.
    pub kind: &'static str,
    /// The component's name.
    pub id: &'static str,
    /// One line on what it does.
    pub about: &'static str,
    /// JSON Schema of its options.
    pub schema: &'static str,
    /// Named lists of words, such as a metric's `inputs` or a model's `model_types`.
    pub lists: &'static [(&'static str, &'static [&'static str])],
    /// A model's sites.
    pub sites: &'static [SiteDeclaration],
}

/// A buffer that a `const fn` writes text into.
pub struct Writer<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Writer<N> {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    /// The number of bytes written.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was written.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first `M` bytes.
    #[must_use]
    pub const fn cut<const M: usize>(&self) -> [u8; M] {
        let mut out = [0; M];
        let mut i = 0;
        while i < M {
            out[i] = self.bytes[i];
            i += 1;
        }
        out
    }

    const fn byte(&mut self, byte: u8) {
        assert!(
            self.len < N,
            "the manifest is too long: shorten the options' docs"
        );
        self.bytes[self.len] = byte;
        self.len += 1;
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self.byte(bytes[i]);
            i += 1;
        }
    }

    const fn string(&mut self, text: &str) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        self.byte(b'"');
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            match bytes[i] {
                b'"' | b'\\' => {
                    self.byte(b'\\');
                    self.byte(bytes[i]);
                }
                control if control < 0x20 => {
                    self.raw("\\u00");
                    self.byte(HEX[(control >> 4) as usize]);
                    self.byte(HEX[(control & 15) as usize]);
                }
                other => self.byte(other),
            }
            i += 1;
        }
        self.byte(b'"');
    }

    const fn entry(&mut self, key: &str, value: &str) {
        self.string(key);
        self.byte(b':');
        self.string(value);
        self.byte(b',');
    }
}

impl<const N: usize> Default for Writer<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The longest manifest, in bytes.
pub const MAX_LEN: usize = 256 * 1024;

/// Writes the manifest of a plugin: one line of JSON.
#[must_use]
pub const fn write(
    package: &str,
    version: &str,
    panic: &str,
    symbol: &str,
    components: &[Declaration],
) -> Writer<MAX_LEN> {
    let mut out = Writer::new();
    out.byte(b'{');
    out.entry("package", package);
    out.entry("version", version);
    out.entry("api", API_VERSION);
    out.entry("panic", panic);
    out.entry("symbol", symbol);
    if let Some(torch) = TORCH_VERSION {
        out.entry("torch", torch);
    }
    out.raw("\"components\":[");
    let mut i = 0;
    while i < components.len() {
        if i > 0 {
            out.byte(b',');
        }
        component(&mut out, &components[i]);
        i += 1;
    }
    out.raw("]}\n");
    out
}

const fn component(out: &mut Writer<MAX_LEN>, component: &Declaration) {
    out.byte(b'{');
    out.entry("kind", component.kind);
    out.entry("id", component.id);
    out.entry("about", component.about);
    let mut i = 0;
    while i < component.lists.len() {
        let (name, items) = component.lists[i];
        out.string(name);
        out.raw(":[");
        let mut j = 0;
        while j < items.len() {
            if j > 0 {
                out.byte(b',');
            }
            out.string(items[j]);
            j += 1;
        }
        out.raw("],");
        i += 1;
    }
    if !component.sites.is_empty() {
        out.raw("\"sites\":[");
        let mut j = 0;
        while j < component.sites.len() {
            if j > 0 {
                out.byte(b',');
            }
            let site = &component.sites[j];
            out.byte(b'{');
            out.entry("role", site.role);
            out.entry("path", site.path);
            out.string("kind");
            out.byte(b':');
            out.string(site.kind);
            out.byte(b'}');
            j += 1;
        }
        out.raw("],");
    }
    out.raw("\"schema\":");
    out.raw(component.schema);
    out.byte(b'}');
}

/// What a metric ignores of what it is shown.
#[must_use]
pub const fn ignored(references: bool) -> &'static [&'static str] {
    match references {
        true => &["references"],
        false => &[],
    }
}

/// The first words of pairs.
#[must_use]
pub const fn firsts<const N: usize>(pairs: &[(&'static str, &'static str)]) -> [&'static str; N] {
    let mut out = [""; N];
    let mut i = 0;
    while i < N {
        out[i] = pairs[i].0;
        i += 1;
    }
    out
}

/// The second words of pairs.
#[must_use]
pub const fn seconds<const N: usize>(pairs: &[(&'static str, &'static str)]) -> [&'static str; N] {
    let mut out = [""; N];
    let mut i = 0;
    while i < N {
        out[i] = pairs[i].1;
        i += 1;
    }
    out
}
