//! An application's sessions over a map that meets faults.

use std::sync::Arc;

use crate::engine::{MapSpec, Mode};
pub(super) use crate::faulty::Fault;
use crate::faulty::{Faulty, Frail};
use crate::session::{Sessions, SessionsBuilder};

/// An application's sessions over a map that meets these faults.
pub(super) fn faulty(builder: SessionsBuilder, faults: Vec<Fault>) -> (Sessions, Arc<Faulty>) {
    let engine = Arc::new(Frail::new(faults));
    let map = engine.faulty(MapSpec::new("web/shop", Mode::Local)).unwrap();
    let settings = builder.settings;
    (Sessions::over(engine, map.clone(), "shop".to_owned(), settings, None), map)
}
