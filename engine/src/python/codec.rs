//! `IdCodec`.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::ids::{Codec, Form, Id};
use crate::python::convert::{IdRefused, id_of, wrong_type};

/// A reversible id text <-> 128-bit key.  spec: auto, int, uuid, kraken, hex:N, base62:N, ascii, intern;
/// an id that does not fit its form goes to a dictionary.
#[pyclass(frozen, module = "ordertape")]
pub struct IdCodec(pub Arc<Codec>);

/// A codec argument: None, a spec or an `IdCodec`.
pub fn codec_of(argument: Option<&Bound<'_, PyAny>>) -> PyResult<Arc<Codec>> {
    let Some(argument) = argument else {
        return Ok(Codec::new(Form::Auto));
    };
    if let Ok(codec) = argument.cast::<IdCodec>() {
        return Ok(codec.get().0.clone());
    }
    let spec = argument
        .cast::<PyString>()
        .map_err(|_| wrong_type(argument, "an IdCodec or the spec of one"))?
        .to_str()?;
    Ok(Codec::new(form_of(spec)?))
}

fn form_of(spec: &str) -> PyResult<Form> {
    Form::from_spec(spec).ok_or_else(|| {
        PyValueError::new_err(format!(
            "codec {spec:?}: expected auto, int, uuid, kraken, hex:1 to hex:32, base62:1 to base62:21, ascii or intern"
        ))
    })
}

#[pymethods]
impl IdCodec {
    #[new]
    #[pyo3(signature = (spec = "auto"))]
    fn new(spec: &str) -> PyResult<Self> {
        Ok(Self(Codec::new(form_of(spec)?)))
    }

    #[getter]
    fn spec(&self) -> String {
        self.0.form().spec()
    }

    fn encode<'py>(&self, text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        Ok(PyBytes::new(
            text.py(),
            &id_of(&self.0, text)?.to_le_bytes(),
        ))
    }

    fn decode(&self, key: [u8; 16]) -> PyResult<String> {
        self.0
            .decode(Id::from_le_bytes(key))
            .ok_or_else(|| IdRefused::new_err("no id of this codec has that key"))
    }

    #[getter]
    fn terms(&self) -> usize {
        self.0.terms()
    }

    fn terms_from(&self, start: usize) -> Vec<String> {
        self.0.terms_from(start)
    }

    fn load_terms(&self, start: usize, terms: Vec<String>) -> PyResult<()> {
        if self.0.load_terms(start, &terms) {
            return Ok(());
        }
        Err(IdRefused::new_err(format!(
            "dictionary entries from {start} contradict those known"
        )))
    }

    /// Whether both are one codec with one dictionary, not merely of one spec.
    fn __eq__(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    fn __hash__(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    fn __repr__(&self) -> String {
        format!("IdCodec({:?})", self.0.form().spec())
    }
}
