//! Whatever is told of events: a `Heat`, a `Flow`, `Detectors`.

use pyo3::prelude::*;

use crate::python::detect::Detectors;
use crate::python::flow::Flow;
use crate::python::heat::Heat;
use crate::watch::Watch;

#[derive(FromPyObject)]
pub enum Watcher<'py> {
    Heat(PyRefMut<'py, Heat>),
    Flow(PyRefMut<'py, Flow>),
    Detectors(PyRefMut<'py, Detectors>),
}

impl Watcher<'_> {
    pub fn watch(&mut self) -> &mut dyn Watch {
        match self {
            Self::Heat(heat) => &mut heat.0,
            Self::Flow(flow) => &mut flow.0,
            Self::Detectors(detectors) => &mut detectors.0,
        }
    }
}
