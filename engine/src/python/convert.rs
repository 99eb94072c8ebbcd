//! Texts, numbers and ids across the border.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString, PyType};
use pyo3::{ffi, import_exception};

use crate::ids::{Codec, Id};
use crate::number::{NumberError, Parsed, SCALE_MAX, parse, plain};

import_exception!(ordertape.errors, NumberRefused);
import_exception!(ordertape.errors, IdRefused);
import_exception!(ordertape.errors, BookCorrupt);

/// The bytes of a contiguous buffer, for the time of one call.
pub struct Borrowed {
    view: ffi::Py_buffer,
}

impl Borrowed {
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let mut view = ffi::Py_buffer::new();
        // SAFETY: `view` is ours to fill; a failure is reported as an exception and nothing is held.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut view, ffi::PyBUF_SIMPLE) }
            != 0
        {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(Self { view })
    }

    pub fn bytes(&self) -> &[u8] {
        if self.view.buf.is_null() {
            return &[];
        }
        // SAFETY: the buffer is held until drop, and PyBUF_SIMPLE promises `len` contiguous bytes.
        unsafe { std::slice::from_raw_parts(self.view.buf.cast(), self.view.len as usize) }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer, released once, with the interpreter attached.
        unsafe { ffi::PyBuffer_Release(&raw mut self.view) }
    }
}

/// Runs `with` on the bytes of a `str`, `bytes` or buffer.
#[inline]
pub fn with_text<T>(
    object: &Bound<'_, PyAny>,
    with: impl FnOnce(&[u8]) -> PyResult<T>,
) -> PyResult<T> {
    if let Ok(text) = object.cast::<PyString>() {
        return with(text.to_str()?.as_bytes());
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return with(bytes.as_bytes());
    }
    match Borrowed::of(object) {
        Ok(buffer) => with(buffer.bytes()),
        Err(_) => Err(wrong_type(object, "text (str, bytes or a buffer)")),
    }
}

#[cold]
fn wrong_type(object: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    let name = object
        .get_type()
        .name()
        .map_or_else(|_| "?".into(), |name| name.to_string());
    PyTypeError::new_err(format!("expected {expected}, got {name}"))
}

#[cold]
pub fn refused(field: &str, text: &[u8], error: NumberError) -> PyErr {
    let text = String::from_utf8_lossy(&text[..text.len().min(64)]).into_owned();
    NumberRefused::new_err((field.to_owned(), text, error.reason()))
}

/// The key of an id: text, or a whole number.
#[inline]
pub fn id_of(codec: &Codec, object: &Bound<'_, PyAny>) -> PyResult<Id> {
    let key = if let Ok(number) = object.cast::<PyInt>() {
        codec.encode_int(number.extract()?)
    } else {
        with_text(object, |text| Ok(codec.encode(text)))?
    };
    key.ok_or_else(|| {
        IdRefused::new_err("the id is not UTF-8 text, or the market's id dictionary is full")
    })
}

/// A number given as text, Decimal or (`scale` known) scaled int; a float is refused.
pub enum Number {
    Scaled(i64),
    Exact(Parsed),
}

pub fn number_of(field: &str, object: &Bound<'_, PyAny>) -> PyResult<Number> {
    if let Ok(number) = object.cast::<PyInt>() {
        let value: i64 = number.extract()?;
        if value == crate::events::NULL {
            return Err(refused(
                field,
                value.to_string().as_bytes(),
                NumberError::TooLarge,
            ));
        }
        return Ok(Number::Scaled(value));
    }
    if object.is_instance_of::<PyFloat>() {
        return Err(PyTypeError::new_err(format!(
            "{field}: a float is not exact; give text, a Decimal or a scaled int"
        )));
    }
    let exact = |text: &[u8]| {
        let parsed = parse(text).map_err(|error| refused(field, text, error))?;
        Ok(Number::Exact(parsed))
    };
    if object.is_instance(decimal_type(object.py())?)? {
        return exact(object.str()?.to_str()?.as_bytes());
    }
    with_text(object, exact)
}

fn decimal_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    DECIMAL.import(py, "decimal", "Decimal")
}

/// An exact Decimal.
pub fn decimal<'py>(py: Python<'py>, value: i128, scale: u8) -> PyResult<Bound<'py, PyAny>> {
    decimal_type(py)?.call1((plain(value, scale),))
}

pub fn scale_of(name: &str, scale: Option<u8>) -> PyResult<Option<u8>> {
    match scale {
        Some(scale) if scale > SCALE_MAX => Err(PyValueError::new_err(format!(
            "{name} {scale}: expected 0 to {SCALE_MAX} digits"
        ))),
        _ => Ok(scale),
    }
}

#[pyfunction]
pub fn parse_number(text: &Bound<'_, PyAny>, scale: u8) -> PyResult<i64> {
    scale_of("scale", Some(scale))?;
    with_text(text, |text| {
        parse(text)
            .and_then(|parsed| parsed.at_scale(scale).ok_or(NumberError::TooLarge))
            .map_err(|error| refused("number", text, error))
    })
}

#[pyfunction]
pub fn format_number(value: i128, scale: u8) -> PyResult<String> {
    scale_of("scale", Some(scale))?;
    Ok(plain(value, scale))
}
