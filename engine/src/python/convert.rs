//! Texts, numbers and ids across the border.

use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBytes, PyFloat, PyInt, PyString, PyType};
use pyo3::{ffi, import_exception};

use crate::events::{ASK, NULL};
use crate::ids::{Codec, Id};
use crate::number::{NumberError, Parsed, SCALE_MAX, decimal_digits, parse, plain};

import_exception!(ordertape.errors, NumberRefused);
import_exception!(ordertape.errors, IdRefused);
import_exception!(ordertape.errors, BookCorrupt);

/// The bytes of a contiguous buffer, for the time of one call.
pub struct Borrowed {
    view: ffi::Py_buffer,
}

impl Borrowed {
    /// Any contiguous buffer, whatever its items are.
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::with_flags(object, ffi::PyBUF_SIMPLE)
    }

    /// A buffer of bytes; None for others, whose memory is no text: a numpy float would be one of eight.
    fn of_text(object: &Bound<'_, PyAny>) -> Option<Self> {
        let buffer = Self::with_flags(object, ffi::PyBUF_FORMAT).ok()?;
        let is_bytes = buffer.view.format.is_null() || {
            // SAFETY: a non-null format is a C string, alive as long as the buffer.
            let format = unsafe { std::ffi::CStr::from_ptr(buffer.view.format) };
            matches!(format.to_bytes(), b"B" | b"b" | b"c" | b"<B")
        };
        (is_bytes && buffer.view.itemsize == 1).then_some(buffer)
    }

    fn with_flags(object: &Bound<'_, PyAny>, flags: std::ffi::c_int) -> PyResult<Self> {
        let mut view = ffi::Py_buffer::new();
        // SAFETY: `view` is ours to fill; a failure is reported as an exception and nothing is held.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut view, flags) } != 0 {
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
    match Borrowed::of_text(object) {
        Some(buffer) => with(buffer.bytes()),
        None => Err(wrong_type(object, "text (str, bytes or a buffer of bytes)")),
    }
}

/// A whole number: an `int`, or what stands for one, such as numpy's; None for everything else.
#[inline]
fn whole<'py, T: FromPyObjectOwned<'py>>(object: &Bound<'py, PyAny>) -> PyResult<Option<T>> {
    if object.is_instance_of::<PyInt>() {
        return object.extract::<T>().map(Some).map_err(Into::into);
    }
    if object.is_instance_of::<PyString>() || object.is_instance_of::<PyBytes>() {
        return Ok(None);
    }
    like_whole(object)
}

#[cold]
fn like_whole<'py, T: FromPyObjectOwned<'py>>(object: &Bound<'py, PyAny>) -> PyResult<Option<T>> {
    // SAFETY: only looks at the type of a live object.
    if unsafe { ffi::PyIndex_Check(object.as_ptr()) } == 0 {
        return Ok(None);
    }
    match object.extract::<T>().map_err(Into::<PyErr>::into) {
        Ok(number) => Ok(Some(number)),
        // An array of bytes looks like a number until it is asked.
        Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => Ok(None),
        Err(error) => Err(error),
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
    let key = if let Ok(text) = object.cast::<PyString>() {
        codec.encode(text.to_str()?.as_bytes())
    } else if let Some(number) = whole(object)? {
        codec.encode_int(number)
    } else {
        with_text(object, |text| Ok(codec.encode(text)))?
    };
    key.ok_or_else(|| {
        IdRefused::new_err("the id is not UTF-8 text, or the market's id dictionary is full")
    })
}

/// The key that an id has; None where the codec never met it.
pub fn known_id(codec: &Codec, object: &Bound<'_, PyAny>) -> PyResult<Option<Id>> {
    match whole::<u64>(object)? {
        Some(number) => Ok(codec.find(decimal_digits(number, &mut [0; 20]))),
        None => with_text(object, |text| Ok(codec.find(text))),
    }
}

/// A number given as text, Decimal or (`scale` known) scaled int; a float is refused.
pub enum Number {
    Scaled(i64),
    Exact(Parsed),
}

pub fn number_of(field: &str, object: &Bound<'_, PyAny>) -> PyResult<Number> {
    if let Some(value) = whole(object)? {
        if value == NULL {
            return Err(refused_object(field, object, NumberError::TooLarge));
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
    if !object.is_instance_of::<PyString>() && object.is_instance(decimal_type(object.py())?)? {
        return exact(object.str()?.to_str()?.as_bytes());
    }
    with_text(object, exact)
}

/// The same error where only the object is at hand.
#[cold]
pub fn refused_object(field: &str, object: &Bound<'_, PyAny>, error: NumberError) -> PyErr {
    let text = with_text(object, |text| Ok(text.to_vec()));
    let text = text.or_else(|_| Ok(object.str()?.to_str()?.as_bytes().to_vec()));
    match text {
        Ok(text) => refused(field, &text, error),
        Err(error) => error,
    }
}

fn decimal_type(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static DECIMAL: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    DECIMAL.import(py, "decimal", "Decimal")
}

/// An exact Decimal.
pub fn decimal<'py>(py: Python<'py>, value: i128, scale: u8) -> PyResult<Bound<'py, PyAny>> {
    decimal_type(py)?.call1((plain(value, scale),))
}

/// A side that orders rest on.
pub fn known_side(side: u8) -> PyResult<u8> {
    if side <= ASK {
        return Ok(side);
    }
    Err(PyValueError::new_err(format!(
        "side {side}: expected 0 (bid) or 1 (ask)"
    )))
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
