//! The manager page: [`page`] is the plain view model, [`render`] its HTML, [`action`] what its
//! buttons send back, [`csrf`] the token that proves a form was ours, [`assets`] the style sheet
//! and the script.
//!
//! This crate imports nothing of the balancer's and is pure: whoever serves the page fills the
//! model from the balancer's rows and turns an [`action::Action`] into commands. Every name that
//! came from a node is taken for hostile text here, whatever was checked before.

pub mod action;
pub mod assets;
pub mod attention;
pub mod csrf;
pub mod curl;
pub mod effect;
pub mod export;
pub mod page;
pub mod render;
mod spark;
mod text;
pub mod view;
