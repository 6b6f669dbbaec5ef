//! The manager page.
