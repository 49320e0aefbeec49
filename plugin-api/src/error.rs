//! The error that crosses the plugin boundary: code, message, causes, help and origin.
//!
//! `Box<dyn Error>` loses its `source()` on the way through a stable ABI, so the chain is kept
//! as text and rebuilt on the other side.

use std::fmt;

use abi_stable::StableAbi;
use abi_stable::std_types::{ROption, RString, RVec};

/// What kind of failure it was; stable across releases, for scripts and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The options given to a component are not acceptable.
    Options,
    /// A record, an example or a batch is not what the component can work on.
    Data,
    /// Tensors have the wrong shape, dtype or device, or libtorch refused an operation.
    Tensor,
    /// Weights or an adapter do not fit the model.
    Weights,
    /// The component panicked; the host contained it.
    Panic,
    /// The user asked to stop.
    Cancelled,
    /// The component does not offer what was asked of it.
    Unsupported,
    /// Everything else.
    Other,
}

impl ErrorCode {
    /// The code as it is printed and carried across the boundary.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Options => "options",
            Self::Data => "data",
            Self::Tensor => "tensor",
            Self::Weights => "weights",
            Self::Panic => "panic",
            Self::Cancelled => "cancelled",
            Self::Unsupported => "unsupported",
            Self::Other => "other",
        }
    }

    /// Reads a code; one that this version does not know is [`ErrorCode::Other`].
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text {
            "options" => Self::Options,
            "data" => Self::Data,
            "tensor" => Self::Tensor,
            "weights" => Self::Weights,
            "panic" => Self::Panic,
            "cancelled" => Self::Cancelled,
            "unsupported" => Self::Unsupported,
            _ => Self::Other,
        }
    }
}

/// An error of a plugin or of a host service.
///
/// Like `anyhow::Error` it does not implement [`std::error::Error`], so that `?` converts every
/// error that does. The text is one sentence without a full stop; causes come behind it.
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    code: ErrorCode,
    message: String,
    chain: Vec<String>,
    help: Option<String>,
    component: Option<String>,
    location: Option<String>,
}

/// `Result` with [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error with a code and a message that says what was being done, on what, what was
    /// expected and what was found.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let inner = Inner {
            code,
            message: message.into(),
            chain: Vec::new(),
            help: None,
            component: None,
            location: None,
        };
        Self {
            inner: Box::new(inner),
        }
    }

    /// An error about the options of a component.
    #[must_use]
    pub fn options(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Options, message)
    }

    /// An error about data.
    #[must_use]
    pub fn data(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Data, message)
    }

    /// An error about something that is not offered.
    #[must_use]
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Unsupported, message)
    }

    /// Adds what the user can do about it.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.inner.help = Some(help.into());
        self
    }

    /// Names the component, as `plugin::component`.
    #[must_use]
    pub fn with_component(mut self, component: impl Into<String>) -> Self {
        self.inner.component = Some(component.into());
        self
    }

    /// Names the source location (`file:line:column`), for panics.
    #[must_use]
    pub fn with_location(mut self, location: impl Into<String>) -> Self {
        self.inner.location = Some(location.into());
        self
    }

    /// Puts a new message in front; the present one becomes its first cause.
    #[must_use]
    pub fn context(mut self, message: impl Into<String>) -> Self {
        let cause = std::mem::replace(&mut self.inner.message, message.into());
        self.inner.chain.insert(0, cause);
        self
    }

    /// The kind of failure.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        self.inner.code
    }

    /// The message without its causes.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// The causes, nearest first.
    #[must_use]
    pub fn chain(&self) -> &[String] {
        &self.inner.chain
    }

    /// What the user can do about it.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.inner.help.as_deref()
    }

    /// The component that failed, as `plugin::component`.
    #[must_use]
    pub fn component(&self) -> Option<&str> {
        self.inner.component.as_deref()
    }

    /// Where a panic happened (`file:line:column`).
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.inner.location.as_deref()
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut new = Self::new(ErrorCode::Other, error.to_string());
        let mut source = error.source();
        while let Some(cause) = source {
            new.inner.chain.push(cause.to_string());
            source = cause.source();
        }
        new
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(component) = &self.inner.component {
            write!(f, "{component}: ")?;
        }
        f.write_str(&self.inner.message)?;
        for cause in &self.inner.chain {
            write!(f, ": {cause}")?;
        }
        if let Some(location) = &self.inner.location {
            write!(f, " (at {location})")?;
        }
        if let Some(help) = &self.inner.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {self}", self.inner.code.as_str())
    }
}

/// An [`Error`] wrapped so that it implements [`std::error::Error`], for code that needs it.
#[derive(Debug, Clone)]
pub struct StdError(pub Error);

impl fmt::Display for StdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for StdError {}

/// Adds context to a result, as `anyhow::Context` does.
pub trait Context<T> {
    /// Puts `message` in front of the error.
    ///
    /// # Errors
    /// The same error with the message in front.
    fn context(self, message: impl Into<String>) -> Result<T>;

    /// Like [`Context::context`], with a message that is built only on failure.
    ///
    /// # Errors
    /// The same error with the message in front.
    fn with_context<S: Into<String>>(self, message: impl FnOnce() -> S) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, message: impl Into<String>) -> Result<T> {
        self.map_err(|error| error.into().context(message))
    }

    fn with_context<S: Into<String>>(self, message: impl FnOnce() -> S) -> Result<T> {
        self.map_err(|error| error.into().context(message()))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, message: impl Into<String>) -> Result<T> {
        self.ok_or_else(|| Error::new(ErrorCode::Other, message))
    }

    fn with_context<S: Into<String>>(self, message: impl FnOnce() -> S) -> Result<T> {
        self.ok_or_else(|| Error::new(ErrorCode::Other, message()))
    }
}

/// Returns early with an [`Error`]: `bail!(Data, "row {i} has no label")`.
#[macro_export]
macro_rules! bail {
    ($code:ident, $($message:tt)+) => {
        return ::core::result::Result::Err($crate::Error::new(
            $crate::ErrorCode::$code,
            ::std::format!($($message)+),
        ))
    };
}

/// Returns early with an [`Error`] unless a condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $code:ident, $($message:tt)+) => {
        if !$condition {
            $crate::bail!($code, $($message)+);
        }
    };
}

/// [`Error`] as it crosses the boundary.
#[repr(C)]
#[derive(StableAbi, Clone, Debug)]
pub struct AbiError {
    code: RString,
    message: RString,
    chain: RVec<RString>,
    help: ROption<RString>,
    component: ROption<RString>,
    location: ROption<RString>,
}

impl From<Error> for AbiError {
    fn from(error: Error) -> Self {
        let inner = *error.inner;
        Self {
            code: inner.code.as_str().into(),
            message: inner.message.into(),
            chain: inner.chain.into_iter().map(RString::from).collect(),
            help: inner.help.map(RString::from).into(),
            component: inner.component.map(RString::from).into(),
            location: inner.location.map(RString::from).into(),
        }
    }
}

impl From<AbiError> for Error {
    fn from(error: AbiError) -> Self {
        let text = |option: ROption<RString>| option.into_option().map(RString::into_string);
        let inner = Inner {
            code: ErrorCode::parse(&error.code),
            message: error.message.into_string(),
            chain: error.chain.into_iter().map(RString::into_string).collect(),
            help: text(error.help),
            component: text(error.component),
            location: text(error.location),
        };
        Self {
            inner: Box::new(inner),
        }
    }
}
