//! Steps of a trace: spans that exist only when somebody collects traces, and only below a request or an operation, so
//! that the background does not fill the collector.

/// The target of every span that is meant for traces.
pub const TARGET: &str = "optikon::trace";

/// A span below the present one; none where there is none.
#[macro_export]
macro_rules! step {
    ($name:literal $(, $($fields:tt)*)?) => {
        if ::tracing::Span::current().is_none() {
            ::tracing::Span::none()
        } else {
            ::tracing::debug_span!(target: $crate::trace::TARGET, $name $(, $($fields)*)?)
        }
    };
}

/// A span that begins a trace.
#[macro_export]
macro_rules! first_step {
    ($name:literal $(, $($fields:tt)*)?) => {
        ::tracing::debug_span!(target: $crate::trace::TARGET, parent: None, $name $(, $($fields)*)?)
    };
}
