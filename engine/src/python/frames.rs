//! Journal frames as Python sees them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::frame::{self, HEADER, Header, MARK};
use crate::ids::Codec;
use crate::python::batch::EventBatch;
use crate::python::codec::IdCodec;
use crate::python::convert::Borrowed;

#[pyfunction]
pub fn encode_mark<'py>(
    py: Python<'py>,
    payload: &[u8],
    last_seq: i64,
    ts_recv: i64,
    synced: u64,
) -> Bound<'py, PyBytes> {
    PyBytes::new(py, &frame::encode_mark(payload, last_seq, ts_recv, synced))
}

type Decoded<'py> = Option<(u8, usize, u64, Bound<'py, PyAny>)>;

#[pyfunction]
#[pyo3(signature = (buffer, offset, codec = None, trade_codec = None))]
pub fn decode_frame<'py>(
    buffer: &Bound<'py, PyAny>,
    offset: usize,
    codec: Option<&Bound<'py, IdCodec>>,
    trade_codec: Option<&Bound<'py, IdCodec>>,
) -> PyResult<Decoded<'py>> {
    let py = buffer.py();
    let borrowed = Borrowed::of(buffer)?;
    let bytes = borrowed.bytes().get(offset..).unwrap_or_default();
    let Some(header) = Header::read(bytes) else {
        return Ok(None);
    };
    let frame = &bytes[..header.length];
    if !header.crc_holds(frame) {
        return Ok(None);
    }
    let content = if header.frame_type == MARK {
        PyBytes::new(py, &frame[HEADER..HEADER + header.payload]).into_any()
    } else {
        let own = |given: Option<&Bound<'py, IdCodec>>, form| {
            let codec = given.map_or_else(|| Codec::new(form), |codec| codec.get().0.clone());
            // Ids that were written with a form decide a codec that none has decided yet.
            codec.decide(form);
            codec
        };
        let codecs = (own(codec, header.forms.0), own(trade_codec, header.forms.1));
        match frame::decode(&header, frame, codecs.0, codecs.1) {
            Some(columns) => Bound::new(py, EventBatch::of(columns))?.into_any(),
            None => return Ok(None),
        }
    };
    Ok(Some((
        header.frame_type,
        header.length,
        header.synced,
        content,
    )))
}

type Run<'py> = Option<(usize, i64, i64, u64, Bound<'py, EventBatch>)>;

#[pyfunction]
pub fn decode_run<'py>(
    buffer: &Bound<'py, PyAny>,
    offset: usize,
    codec: &Bound<'py, IdCodec>,
    trade_codec: &Bound<'py, IdCodec>,
    rows_max: usize,
    span_ns: i64,
) -> PyResult<Run<'py>> {
    let borrowed = Borrowed::of(buffer)?;
    let bytes = borrowed.bytes().get(offset..).unwrap_or_default();
    let codecs = (&codec.get().0, &trade_codec.get().0);
    let Some(run) = frame::decode_run(bytes, codecs.0, codecs.1, rows_max, span_ns) else {
        return Ok(None);
    };
    let batch = Bound::new(buffer.py(), EventBatch::of(run.columns))?;
    Ok(Some((
        run.length,
        run.last_seq,
        run.last_ts_recv,
        run.synced,
        batch,
    )))
}

type HeaderFields = (u8, usize, usize, i64, i64, i64);

#[pyfunction]
pub fn frame_header(buffer: &Bound<'_, PyAny>, offset: usize) -> PyResult<Option<HeaderFields>> {
    let borrowed = Borrowed::of(buffer)?;
    let bytes = borrowed.bytes().get(offset..).unwrap_or_default();
    Ok(Header::read(bytes).map(|header| {
        let Header {
            frame_type,
            length,
            rows,
            first_seq,
            last_seq,
            last_ts_recv,
            ..
        } = header;
        (frame_type, length, rows, first_seq, last_seq, last_ts_recv)
    }))
}
