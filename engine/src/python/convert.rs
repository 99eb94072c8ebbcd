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
    #[inline]
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        Self::with_flags(object, ffi::PyBUF_SIMPLE)
    }

    /// Whether these are bytes; the memory of other items is no text: a numpy float would be one of eight.
    #[inline]
    fn is_text(&self, object: &Bound<'_, PyAny>) -> bool {
        self.view.itemsize == 1 && (self.view.len != 1 || is_character(object))
    }

    #[inline]
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
    match Borrowed::of(object) {
        Ok(buffer) if buffer.is_text(object) => with(buffer.bytes()),
        _ => Err(wrong_type(object, "text (str, bytes or a buffer of bytes)")),
    }
}

/// Whether a buffer of one byte is a character, and not a numpy number of that width.
#[cold]
fn is_character(object: &Bound<'_, PyAny>) -> bool {
    let Ok(buffer) = Borrowed::with_flags(object, ffi::PyBUF_ND | ffi::PyBUF_FORMAT) else {
        return false;
    };
    let is_byte = buffer.view.format.is_null() || {
        // SAFETY: a non-null format is a C string, alive as long as the buffer.
        let format = unsafe { std::ffi::CStr::from_ptr(buffer.view.format) };
        matches!(format.to_bytes(), b"B" | b"b" | b"c" | b"<B")
    };
    is_byte && !matches!(like_whole::<i64>(object), Ok(Some(_)))
}

/// What stands for a whole number, such as numpy's; None for everything else.
#[cold]
fn like_whole<'py, T: FromPyObjectOwned<'py>>(object: &Bound<'py, PyAny>) -> PyResult<Option<T>> {
    // SAFETY: only looks at the type of a live object.
    if unsafe { ffi::PyIndex_Check(object.as_ptr()) } == 0 {
        return Ok(None);
    }
    match object.extract::<T>().map_err(Into::<PyErr>::into) {
        Ok(number) => Ok(Some(number)),
        // An array looks like a number until it is asked.
        Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A text or a whole number: how ids come.
enum Name<T> {
    Text(T),
    Whole(u64),
}

#[inline]
fn name_of<T>(object: &Bound<'_, PyAny>, with: impl FnOnce(&[u8]) -> T) -> PyResult<Name<T>> {
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Name::Text(with(text.to_str()?.as_bytes())));
    }
    if let Ok(number) = object.cast::<PyInt>() {
        return Ok(Name::Whole(number.extract()?));
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Name::Text(with(bytes.as_bytes())));
    }
    if let Ok(buffer) = Borrowed::of(object)
        && buffer.is_text(object)
    {
        return Ok(Name::Text(with(buffer.bytes())));
    }
    match like_whole(object)? {
        Some(number) => Ok(Name::Whole(number)),
        None => Err(wrong_type(object, "an id (text or a whole number)")),
    }
}

#[cold]
pub fn wrong_type(object: &Bound<'_, PyAny>, expected: &str) -> PyErr {
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
    let key = match name_of(object, |text| codec.encode(text))? {
        Name::Text(key) => key,
        Name::Whole(number) => codec.encode_int(number),
    };
    key.ok_or_else(|| {
        IdRefused::new_err("the id is not UTF-8 text, or the market's id dictionary is full")
    })
}

/// The key that an id has; None where the codec never met it.
pub fn known_id(codec: &Codec, object: &Bound<'_, PyAny>) -> PyResult<Option<Id>> {
    Ok(match name_of(object, |text| codec.find(text))? {
        Name::Text(key) => key,
        Name::Whole(number) => codec.find(decimal_digits(number, &mut [0; 20])),
    })
}

/// A number given as text, Decimal or (`scale` known) scaled int; a float is refused.
pub enum Number {
    Scaled(i64),
    Exact(Parsed),
}

pub fn number_of(field: &str, object: &Bound<'_, PyAny>) -> PyResult<Number> {
    let scaled = |value| {
        if value == NULL {
            return Err(refused_object(field, object, NumberError::TooLarge));
        }
        Ok(Number::Scaled(value))
    };
    let exact = |text: &[u8]| {
        let parsed = parse(text).map_err(|error| refused(field, text, error))?;
        Ok(Number::Exact(parsed))
    };
    if let Ok(number) = object.cast::<PyInt>() {
        return scaled(number.extract()?);
    }
    if object.is_instance_of::<PyString>() {
        return with_text(object, exact);
    }
    if object.is_instance_of::<PyFloat>() {
        return Err(PyTypeError::new_err(format!(
            "{field}: a float is not exact; give text, a Decimal or a scaled int"
        )));
    }
    if object.is_instance(decimal_type(object.py())?)? {
        return exact(object.str()?.to_str()?.as_bytes());
    }
    match like_whole(object)? {
        Some(value) => scaled(value),
        None => with_text(object, exact),
    }
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

/// A `seq` to count from: what no market reaches leaves room for every batch.
pub fn known_seq(first_seq: i64) -> PyResult<i64> {
    if (0..=i64::MAX / 2).contains(&first_seq) {
        return Ok(first_seq);
    }
    Err(PyValueError::new_err(format!(
        "first_seq {first_seq}: expected 0 to {}",
        i64::MAX / 2
    )))
}

pub fn scale_of(name: &str, scale: Option<i64>) -> PyResult<Option<u8>> {
    let known = |scale| {
        let scale_u8 = u8::try_from(scale).ok().filter(|&s| s <= SCALE_MAX);
        scale_u8.ok_or_else(|| {
            PyValueError::new_err(format!("{name} {scale}: expected 0 to {SCALE_MAX} digits"))
        })
    };
    scale.map(known).transpose()
}

/// A scale that must be there.
pub fn known_scale(name: &str, scale: i64) -> PyResult<u8> {
    Ok(scale_of(name, Some(scale))?.unwrap_or(0))
}

#[pyfunction]
pub fn parse_number(text: &Bound<'_, PyAny>, scale: i64) -> PyResult<i64> {
    let scale = known_scale("scale", scale)?;
    with_text(text, |text| {
        parse(text)
            .and_then(|parsed| parsed.at_scale(scale).ok_or(NumberError::TooLarge))
            .map_err(|error| refused("number", text, error))
    })
}

#[pyfunction]
pub fn format_number(value: i128, scale: i64) -> PyResult<String> {
    Ok(plain(value, known_scale("scale", scale)?))
}
