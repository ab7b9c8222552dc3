//! The status page: one file, without anything from elsewhere, that reads `/api/v1` every second.

/// The page.
pub const PAGE: &str = include_str!("page.html");
