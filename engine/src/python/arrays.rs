//! Columns from numpy arrays, Arrow buffers or plain sequences.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

use crate::ids::{Codec, Form, Id, NULL_ID};
use crate::python::convert::{IdRefused, id_of};

/// Integer types that columns have.
pub trait Cell: Copy + TryFrom<i128> {
    /// Buffer format characters of the same width and sign.
    const FORMATS: &'static [u8];
    /// What an out-of-range value is told to be outside of.
    const NAME: &'static str;
}

impl Cell for i64 {
    const FORMATS: &'static [u8] = b"ql";
    const NAME: &'static str = "int64";
}

impl Cell for u64 {
    const FORMATS: &'static [u8] = b"QL";
    const NAME: &'static str = "uint64";
}

impl Cell for u16 {
    const FORMATS: &'static [u8] = b"H";
    const NAME: &'static str = "uint16";
}

impl Cell for u8 {
    const FORMATS: &'static [u8] = b"B";
    const NAME: &'static str = "uint8";
}

/// A contiguous buffer with its format.
struct Typed {
    view: ffi::Py_buffer,
}

/// Buffer formats of whole numbers.
const SIGNED: &[u8] = b"bhilqn";
const UNSIGNED: &[u8] = b"BHILQN?";

impl Typed {
    /// The buffer of an object, copied where it has gaps; None for what has none.
    fn of(object: &Bound<'_, PyAny>) -> Option<Self> {
        // SAFETY: only looks at the type of a live object.
        if unsafe { ffi::PyObject_CheckBuffer(object.as_ptr()) } == 0 {
            return None;
        }
        Self::contiguous(object).or_else(|| Self::contiguous(&without_gaps(object)?))
    }

    fn contiguous(object: &Bound<'_, PyAny>) -> Option<Self> {
        let mut view = ffi::Py_buffer::new();
        let flags = ffi::PyBUF_C_CONTIGUOUS | ffi::PyBUF_FORMAT;
        // SAFETY: `view` is ours to fill; on failure nothing is held and the exception is cleared.
        if unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut view, flags) } != 0 {
            let _ = PyErr::take(object.py());
            return None;
        }
        Some(Self { view })
    }

    fn bytes(&self) -> &[u8] {
        if self.view.buf.is_null() {
            return &[];
        }
        // SAFETY: C-contiguous, so `len` bytes from `buf`, held until drop.
        unsafe { std::slice::from_raw_parts(self.view.buf.cast(), self.view.len as usize) }
    }

    /// Shape of up to two dimensions.
    fn shape(&self) -> (usize, usize) {
        let dimension = |nth: usize| {
            // SAFETY: PyBUF_C_CONTIGUOUS implies a shape of `ndim` entries.
            unsafe { *self.view.shape.add(nth) as usize }
        };
        match self.view.ndim {
            1 => (dimension(0), 1),
            2 => (dimension(0), dimension(1)),
            _ => (0, 0),
        }
    }

    /// The one character of an integer format in this machine's byte order; 0 for every other format.
    fn format(&self) -> u8 {
        if self.view.format.is_null() {
            return b'B';
        }
        // SAFETY: a non-null format is a C string.
        let text = unsafe { std::ffi::CStr::from_ptr(self.view.format) }.to_bytes();
        match text {
            [b'@' | b'=' | b'<' | b'|', format] | [format]
                if SIGNED.contains(format) || UNSIGNED.contains(format) =>
            {
                *format
            }
            _ => 0,
        }
    }
}

/// A contiguous copy of a buffer, as a memoryview.
fn without_gaps<'py>(object: &Bound<'py, PyAny>) -> Option<Bound<'py, PyAny>> {
    let order = b'C' as std::ffi::c_char;
    // SAFETY: gives a new reference, or null with an exception, which `from_owned_ptr_or_err` takes.
    let copy = unsafe {
        let view = ffi::PyMemoryView_GetContiguous(object.as_ptr(), ffi::PyBUF_READ, order);
        Bound::from_owned_ptr_or_err(object.py(), view)
    };
    copy.ok()
}

impl Drop for Typed {
    fn drop(&mut self) {
        // SAFETY: filled by PyObject_GetBuffer, released once.
        unsafe { ffi::PyBuffer_Release(&raw mut self.view) }
    }
}

fn out_of_range<T: Cell>(name: &str, value: i128) -> PyErr {
    PyValueError::new_err(format!("{name}: {value} is outside of {}", T::NAME))
}

/// Values of any integer array or sequence as one column type; -1 in a uint8 column is its null.
pub fn integers<T: Cell>(name: &str, object: &Bound<'_, PyAny>) -> PyResult<Vec<T>> {
    let narrow = |value: i128| {
        let value = if value == -1 && T::NAME == "uint8" {
            255
        } else {
            value
        };
        T::try_from(value).map_err(|_| out_of_range::<T>(name, value))
    };
    let Some(typed) = Typed::of(object) else {
        return from_sequence(name, object, narrow);
    };
    let (bytes, format, width) = (typed.bytes(), typed.format(), typed.view.itemsize as usize);
    if typed.view.ndim != 1 || !matches!(width, 1 | 2 | 4 | 8) {
        return Err(not_integers(name));
    }
    if T::FORMATS.contains(&format) && width == size_of::<T>() {
        return Ok(copy_of(bytes));
    }
    let signed = SIGNED.contains(&format);
    if !signed && !UNSIGNED.contains(&format) {
        return from_sequence(name, object, narrow);
    }
    let widen = |chunk: &[u8]| {
        let mut wide = [if signed && chunk[width - 1] & 0x80 != 0 {
            0xFF
        } else {
            0
        }; 16];
        wide[..width].copy_from_slice(chunk);
        narrow(i128::from_le_bytes(wide))
    };
    bytes.chunks_exact(width).map(widen).collect()
}

/// Values one by one: lists, arrays of objects or of the other byte order, and arrays with gaps.
fn from_sequence<T>(
    name: &str,
    object: &Bound<'_, PyAny>,
    narrow: impl Fn(i128) -> PyResult<T>,
) -> PyResult<Vec<T>> {
    let sequence = object.try_iter().map_err(|_| not_integers(name))?;
    sequence
        .map(|value| {
            let value = value?.extract::<i128>();
            value.map_err(|_| not_integers(name)).and_then(&narrow)
        })
        .collect()
}

fn not_integers(name: &str) -> PyErr {
    PyTypeError::new_err(format!(
        "{name}: expected a contiguous array or sequence of integers"
    ))
}

/// Values of a plain integer type from their bytes, which need no alignment.
fn copy_of<T: Copy>(bytes: &[u8]) -> Vec<T> {
    let rows = bytes.len() / size_of::<T>();
    let mut values = Vec::<T>::with_capacity(rows);
    // SAFETY: `rows` values fit both sides, and every bit pattern is a value of the integer types used.
    unsafe {
        std::ptr::copy_nonoverlapping(
            bytes.as_ptr(),
            values.as_mut_ptr().cast::<u8>(),
            rows * size_of::<T>(),
        );
        values.set_len(rows);
    }
    values
}

/// Ids: an (n, 16) uint8 array of keys, an integer array, or a sequence of texts, ints and None.
pub fn ids(name: &str, object: &Bound<'_, PyAny>, codec: &Codec) -> PyResult<Vec<Id>> {
    let typed = Typed::of(object);
    if let Some(typed) = &typed
        && typed.format() == b'B'
        && typed.shape().1 == 16
    {
        let keys: Vec<Id> = copy_of(typed.bytes());
        if keys.iter().any(|&key| key != NULL_ID) {
            // Keys that come without their codec show as UUIDs.
            codec.decide(Form::Uuid);
        }
        return Ok(keys);
    }
    if typed.is_some_and(|typed| typed.format() != 0) {
        let numbers = integers::<u64>(name, object)?;
        if let Some(first) = numbers.first() {
            // The first id decides the form of an "auto" codec.
            let _ = codec.encode(first.to_string().as_bytes());
        }
        if codec.form() == Form::Int {
            return Ok(numbers.into_iter().map(Id::from).collect());
        }
        let keys = numbers.into_iter().map(|number| codec.encode_int(number));
        return keys
            .collect::<Option<_>>()
            .ok_or_else(|| IdRefused::new_err(format!("{name}: the id dictionary is full")));
    }
    let sequence = object.try_iter().map_err(|_| {
        PyTypeError::new_err(format!(
            "{name}: expected uint64, (n, 16) uint8 or a sequence of texts"
        ))
    })?;
    sequence
        .map(|value| {
            let value = value?;
            if value.is_none() {
                Ok(NULL_ID)
            } else {
                id_of(codec, &value)
            }
        })
        .collect()
}
