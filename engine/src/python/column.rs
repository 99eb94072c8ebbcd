//! A column as a buffer: what numpy and Arrow read without copying.

use std::any::Any;
use std::ffi::{CStr, c_int, c_void};
use std::sync::Arc;

use pyo3::exceptions::PyBufferError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::apply::Effects;
use crate::batch::{Columns, Filled};
use crate::events::{NO_SIDE, NULL};
use crate::ids::{Id, NULL_ID};

/// Who owns the memory.
pub enum Owner {
    Batch(Arc<Columns>),
    Effects(Arc<Effects>),
    Rows(Arc<dyn Any + Send + Sync>),
}

#[derive(Clone, Copy)]
enum Width {
    Byte,
    Short,
    Long,
    Double,
    Id,
}

/// A read-only view of one column: the buffer protocol, no copy.
#[pyclass(frozen, module = "ordertape")]
pub struct Column {
    #[pyo3(get)]
    name: String,
    data: *const c_void,
    shape: [isize; 2],
    strides: [isize; 2],
    width: Width,
    /// Only keeps the memory alive.
    _owner: Owner,
}

// SAFETY: the memory behind `data` is owned by `_owner`, which is shared and never moves or shrinks.
unsafe impl Send for Column {}
// SAFETY: as above; the only writes to it are atomic.
unsafe impl Sync for Column {}

/// A column's memory and the width of its values.
pub struct Values(*const c_void, usize, Width);

impl From<&[u8]> for Values {
    fn from(values: &[u8]) -> Self {
        Self(values.as_ptr().cast(), values.len(), Width::Byte)
    }
}

impl From<&[u16]> for Values {
    fn from(values: &[u16]) -> Self {
        Self(values.as_ptr().cast(), values.len(), Width::Short)
    }
}

impl From<&[i64]> for Values {
    fn from(values: &[i64]) -> Self {
        Self(values.as_ptr().cast(), values.len(), Width::Long)
    }
}

impl From<&[f64]> for Values {
    fn from(values: &[f64]) -> Self {
        Self(values.as_ptr().cast(), values.len(), Width::Double)
    }
}

impl From<&[Id]> for Values {
    fn from(values: &[Id]) -> Self {
        Self(values.as_ptr().cast(), values.len(), Width::Id)
    }
}

/// Atomics have the layout of what they hold.
pub fn of_filled(values: &Filled, range: std::ops::Range<usize>) -> Values {
    let values = &values[range];
    Values(values.as_ptr().cast(), values.len(), Width::Long)
}

impl Column {
    pub fn new(name: &str, values: Values, owner: Owner) -> Self {
        let Values(data, rows, width) = values;
        let (columns, item) = match width {
            Width::Byte => (1, 1),
            Width::Short => (1, 2),
            Width::Long | Width::Double => (1, 8),
            Width::Id => (16, 1),
        };
        Self {
            name: name.to_owned(),
            data,
            shape: [rows as isize, columns],
            strides: [columns * item, item],
            width,
            _owner: owner,
        }
    }

    fn slice<T>(&self) -> &[T] {
        // SAFETY: `data` points to `shape[0]` values of the width's type, alive as long as `_owner`.
        unsafe { std::slice::from_raw_parts(self.data.cast(), self.shape[0] as usize) }
    }

    fn format(&self) -> &'static CStr {
        match self.width {
            Width::Byte | Width::Id => c"B",
            Width::Short => c"H",
            Width::Long => c"q",
            Width::Double => c"d",
        }
    }
}

#[pymethods]
impl Column {
    fn __len__(&self) -> usize {
        self.shape[0] as usize
    }

    fn validity<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let bits = match self.width {
            Width::Long => bitmap(self.slice::<i64>(), &NULL),
            Width::Id => bitmap(self.slice::<Id>(), &NULL_ID),
            Width::Byte => bitmap(self.slice::<u8>(), &NO_SIDE),
            Width::Short | Width::Double => None,
        };
        bits.map(|bits| PyBytes::new(py, &bits))
    }

    unsafe fn __getbuffer__(
        slf: Bound<'_, Self>,
        view: *mut ffi::Py_buffer,
        flags: c_int,
    ) -> PyResult<()> {
        if view.is_null() || flags & ffi::PyBUF_WRITABLE == ffi::PyBUF_WRITABLE {
            return Err(PyBufferError::new_err("a column is read-only"));
        }
        let column = slf.get();
        let dimensions = if matches!(column.width, Width::Id) {
            2
        } else {
            1
        };
        let asked = |flag: c_int| flags & flag == flag;
        // SAFETY: `view` is the caller's to be filled; every pointer put there lives in the column,
        // which `obj` keeps alive until the buffer is released.
        unsafe {
            (*view).buf = column.data.cast_mut();
            (*view).len = column.shape[0] * column.strides[0];
            (*view).readonly = 1;
            (*view).itemsize = column.strides[dimensions - 1];
            (*view).ndim = dimensions as c_int;
            (*view).format = if asked(ffi::PyBUF_FORMAT) {
                column.format().as_ptr().cast_mut()
            } else {
                std::ptr::null_mut()
            };
            (*view).shape = if asked(ffi::PyBUF_ND) {
                column.shape.as_ptr().cast_mut()
            } else {
                std::ptr::null_mut()
            };
            (*view).strides = if asked(ffi::PyBUF_STRIDES) {
                column.strides.as_ptr().cast_mut()
            } else {
                std::ptr::null_mut()
            };
            (*view).suboffsets = std::ptr::null_mut();
            (*view).internal = std::ptr::null_mut();
            (*view).obj = slf.into_ptr();
        }
        Ok(())
    }
}

/// Arrow's validity bitmap; None where nothing is null.
fn bitmap<T: PartialEq>(values: &[T], null: &T) -> Option<Vec<u8>> {
    if !values.contains(null) {
        return None;
    }
    let mut bits = vec![0u8; values.len().div_ceil(8)];
    for (i, _) in values
        .iter()
        .enumerate()
        .filter(|(_, value)| *value != null)
    {
        bits[i / 8] |= 1 << (i % 8);
    }
    Some(bits)
}
