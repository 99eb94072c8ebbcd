//! Journal frames: a fixed header, raw columns or a JSON payload, one crc32c over everything.
//!
//! ```text
//!  0 magic "OTF1"      4 length, a multiple of 8     8 type  9 price scale  10 size scale  11 zero
//! 12 rows             16 first seq                  24 last seq            32 last ts_recv
//! 40 synced           48 codec, its length, trade codec, its length        52 columns, two bits each
//! 56 payload bytes    60 crc32c of all but itself   64 payload, zero padded
//! ```
//! A column is 0 absent, 1 raw, 2 one value for all rows, 3 packed (`seq`: +1 a row; ids: the lower
//! 8 bytes).  Little-endian throughout.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::batch::{Before, Columns, Row, Slice, filled};
use crate::events::{self, ASK, CLEAR, NO_SIDE, OPEN, TRADE};
use crate::ids::{Codec, Form, Id, NULL_ID};

pub const MAGIC: u32 = u32::from_le_bytes(*b"OTF1");
pub const HEADER: usize = 64;
pub const EVENTS: u8 = 1;
pub const SNAPSHOT: u8 = 2;
pub const MARK: u8 = 3;

/// More rows than any writer makes: what claims more is no header.
pub const ROWS_MAX: usize = 1 << 24;

const ABSENT: u32 = 0;
const RAW: u32 = 1;
const SAME: u32 = 2;
const PACKED: u32 = 3;

pub struct Header {
    pub length: usize,
    pub frame_type: u8,
    pub price_scale: u8,
    pub size_scale: u8,
    pub rows: usize,
    pub first_seq: i64,
    pub last_seq: i64,
    pub last_ts_recv: i64,
    pub synced: u64,
    pub forms: (Form, Form),
    columns: u32,
    pub payload: usize,
    crc: u32,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | (u64::from(u32_at(bytes, at + 4)) << 32)
}

impl Header {
    /// None where no header of a frame that fits `bytes` stands at their beginning.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.len() < HEADER || u32_at(bytes, 0) != MAGIC {
            return None;
        }
        let header = Self {
            length: u32_at(bytes, 4) as usize,
            frame_type: bytes[8],
            price_scale: bytes[9],
            size_scale: bytes[10],
            rows: u32_at(bytes, 12) as usize,
            first_seq: u64_at(bytes, 16) as i64,
            last_seq: u64_at(bytes, 24) as i64,
            last_ts_recv: u64_at(bytes, 32) as i64,
            synced: u64_at(bytes, 40),
            forms: (
                Form::from_code(bytes[48], bytes[49])?,
                Form::from_code(bytes[50], bytes[51])?,
            ),
            columns: u32_at(bytes, 52),
            payload: u32_at(bytes, 56) as usize,
            crc: u32_at(bytes, 60),
        };
        let whole = header.length.is_multiple_of(8)
            && header.length >= HEADER + header.payload
            && header.length <= bytes.len()
            && header.rows <= ROWS_MAX;
        whole.then_some(header)
    }

    pub fn crc_holds(&self, bytes: &[u8]) -> bool {
        crc(&bytes[..self.length]) == self.crc
    }
}

fn crc(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..60]), &frame[64..])
}

/// Writes columns one after another and remembers how each was written.
struct Writer {
    out: Vec<u8>,
    nth: u32,
    columns: u32,
}

impl Writer {
    fn column(&mut self, code: u32) {
        self.columns |= code << (2 * self.nth);
        self.nth += 1;
    }

    fn bytes<T: Copy + PartialEq, const N: usize>(
        &mut self,
        values: &[T],
        bytes: impl Fn(T) -> [u8; N],
    ) {
        if values.windows(2).all(|pair| pair[0] == pair[1]) {
            self.out.extend(
                values
                    .first()
                    .map(|&value| bytes(value))
                    .into_iter()
                    .flatten(),
            );
            return self.column(SAME);
        }
        self.out.reserve(values.len() * N);
        for &value in values {
            self.out.extend_from_slice(&bytes(value));
        }
        self.column(RAW);
    }

    fn seq(&mut self, values: &[i64]) {
        let one_up = |pair: &[i64]| pair[0].checked_add(1) == Some(pair[1]);
        if values.len() > 1 && values.windows(2).all(one_up) {
            self.out.extend_from_slice(&values[0].to_le_bytes());
            return self.column(PACKED);
        }
        self.bytes(values, i64::to_le_bytes);
    }

    fn ids(&mut self, values: &[Id]) {
        // Sixty-four ones stand for null in packed ids, so an id of that value is written raw.
        if values
            .iter()
            .all(|&id| id < Id::from(u64::MAX) || id == NULL_ID)
        {
            self.out.reserve(values.len() * 8);
            for &id in values {
                self.out.extend_from_slice(&(id as u64).to_le_bytes());
            }
            return self.column(PACKED);
        }
        self.bytes(values, Id::to_le_bytes);
    }

    fn optional<T>(&mut self, values: Option<&[T]>, write: impl Fn(&mut Self, &[T])) {
        match values {
            Some(values) => write(self, values),
            None => self.column(ABSENT),
        }
    }
}

/// A frame of events or of a snapshot.
pub fn encode(slice: &Slice, frame_type: u8, synced: u64) -> Vec<u8> {
    let columns = &*slice.columns;
    let range = slice.range();
    let mut writer = Writer {
        out: Vec::with_capacity(HEADER + slice.len * 72 + 128),
        nth: 0,
        columns: 0,
    };
    writer.out.resize(HEADER, 0);
    let longs = |writer: &mut Writer, values: &[i64]| writer.bytes(values, i64::to_le_bytes);
    writer.seq(&columns.seq[range.clone()]);
    writer.optional(
        columns.venue_seq.as_deref().map(|v| &v[range.clone()]),
        longs,
    );
    writer.optional(
        columns.ts_event.as_deref().map(|v| &v[range.clone()]),
        longs,
    );
    longs(&mut writer, &columns.ts_recv[range.clone()]);
    writer.bytes(&columns.kind[range.clone()], |value| [value]);
    writer.bytes(&columns.side[range.clone()], |value| [value]);
    writer.bytes(&columns.reason[range.clone()], |value| [value]);
    writer.bytes(&columns.flags[range.clone()], u16::to_le_bytes);
    writer.ids(&columns.order_id[range.clone()]);
    longs(&mut writer, &columns.price[range.clone()]);
    longs(&mut writer, &columns.size[range.clone()]);
    writer.optional(
        columns.trade_id.as_deref().map(|v| &v[range.clone()]),
        Writer::ids,
    );
    writer.optional(
        columns.taker_order_id.as_deref().map(|v| &v[range.clone()]),
        Writer::ids,
    );
    writer.optional(
        columns.taker_side.as_deref().map(|v| &v[range.clone()]),
        |writer, values| {
            writer.bytes(values, |value| [value]);
        },
    );
    let before = columns.before.as_ref();
    for column in [before.map(|b| &b.price), before.map(|b| &b.size)] {
        let values: Option<Vec<i64>> = column.map(|c| {
            c[range.clone()]
                .iter()
                .map(|v| v.load(Ordering::Relaxed))
                .collect()
        });
        writer.optional(values.as_deref(), longs);
    }
    let (seq, ts_recv) = (&columns.seq[range.clone()], &columns.ts_recv[range]);
    let or_zero = |value: Option<&i64>| value.copied().unwrap_or(0);
    let rows = (
        slice.len,
        or_zero(seq.first()),
        or_zero(seq.last()),
        or_zero(ts_recv.last()),
    );
    let mut frame = writer.out;
    frame[9] = columns.price_scale;
    frame[10] = columns.size_scale;
    let (code, length) = columns.codec.form().code();
    let (trade_code, trade_length) = columns.trade_codec.form().code();
    frame[48..52].copy_from_slice(&[code, length, trade_code, trade_length]);
    frame[52..56].copy_from_slice(&writer.columns.to_le_bytes());
    seal(frame, frame_type, rows, synced)
}

/// A frame around a JSON payload.
pub fn encode_mark(payload: &[u8], last_seq: i64, ts_recv: i64, synced: u64) -> Vec<u8> {
    let mut frame = vec![0; HEADER];
    frame.extend_from_slice(payload);
    seal(frame, MARK, (0, last_seq, last_seq, ts_recv), synced)
}

fn seal(mut frame: Vec<u8>, frame_type: u8, rows: (usize, i64, i64, i64), synced: u64) -> Vec<u8> {
    let payload = (frame.len() - HEADER) as u32;
    frame.resize(frame.len().next_multiple_of(8), 0);
    let length = frame.len() as u32;
    frame[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    frame[4..8].copy_from_slice(&length.to_le_bytes());
    frame[8] = frame_type;
    frame[12..16].copy_from_slice(&(rows.0 as u32).to_le_bytes());
    frame[16..24].copy_from_slice(&rows.1.to_le_bytes());
    frame[24..32].copy_from_slice(&rows.2.to_le_bytes());
    frame[32..40].copy_from_slice(&rows.3.to_le_bytes());
    frame[40..48].copy_from_slice(&synced.to_le_bytes());
    frame[56..60].copy_from_slice(&payload.to_le_bytes());
    let crc = crc(&frame);
    frame[60..64].copy_from_slice(&crc.to_le_bytes());
    frame
}

/// Reads columns in the order they were written.
struct Reader<'a> {
    bytes: &'a [u8],
    columns: u32,
    nth: u32,
    rows: usize,
}

impl<'a> Reader<'a> {
    fn code(&mut self) -> u32 {
        self.nth += 1;
        (self.columns >> (2 * (self.nth - 1))) & 3
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(head)
    }

    fn values<T: Clone, const N: usize>(
        &mut self,
        code: u32,
        read: impl Fn([u8; N]) -> T,
    ) -> Option<Vec<T>> {
        let one = |bytes: &[u8]| bytes.try_into().map(&read).ok();
        match code {
            RAW => {
                let bytes = self.take(self.rows.checked_mul(N)?)?;
                bytes.chunks_exact(N).map(one).collect()
            }
            SAME if self.rows > 0 => Some(vec![one(self.take(N)?)?; self.rows]),
            SAME => Some(Vec::new()),
            _ => None,
        }
    }

    fn seq(&mut self) -> Option<Vec<i64>> {
        match self.code() {
            PACKED => {
                let first = i64::from_le_bytes(self.take(8)?.try_into().ok()?);
                let last = first.checked_add(i64::try_from(self.rows.checked_sub(1)?).ok()?)?;
                Some((first..=last).collect())
            }
            code => self.values(code, i64::from_le_bytes),
        }
    }

    fn longs(&mut self) -> Option<Vec<i64>> {
        let code = self.code();
        self.values(code, i64::from_le_bytes)
    }

    fn small(&mut self) -> Option<Vec<u8>> {
        let code = self.code();
        self.values(code, |[byte]: [u8; 1]| byte)
    }

    fn ids(&mut self, code: u32) -> Option<Vec<Id>> {
        if code == PACKED {
            return self.values(RAW, |bytes| match u64::from_le_bytes(bytes) {
                u64::MAX => NULL_ID,
                low => Id::from(low),
            });
        }
        self.values(code, Id::from_le_bytes)
    }

    /// Outer None: the frame is malformed; inner None: the column is absent.
    fn optional<T>(&mut self, read: impl Fn(&mut Self, u32) -> Option<T>) -> Option<Option<T>> {
        match self.code() {
            ABSENT => Some(None),
            code => read(self, code).map(Some),
        }
    }
}

/// The columns of a frame whose crc holds; None where they don't add up all the same.
pub fn decode(
    header: &Header,
    frame: &[u8],
    codec: Arc<Codec>,
    trade_codec: Arc<Codec>,
) -> Option<Columns> {
    let bytes = frame.get(HEADER..HEADER + header.payload)?;
    let mut reader = Reader {
        bytes,
        columns: header.columns,
        nth: 0,
        rows: header.rows,
    };
    let longs = |reader: &mut Reader, code| reader.values(code, i64::from_le_bytes);
    let seq = reader.seq()?;
    let venue_seq = reader.optional(longs)?;
    let ts_event = reader.optional(longs)?;
    let ts_recv = reader.longs()?;
    let kind = reader.small()?;
    let side = reader.small()?;
    let reason = reader.small()?;
    let code = reader.code();
    let flags = reader.values(code, u16::from_le_bytes)?;
    let code = reader.code();
    let order_id = reader.ids(code)?;
    let price = reader.longs()?;
    let size = reader.longs()?;
    let trade_id = reader.optional(Reader::ids)?;
    let taker_order_id = reader.optional(Reader::ids)?;
    let taker_side = reader.optional(|reader, code| reader.values(code, |[byte]: [u8; 1]| byte))?;
    let price_before = reader.optional(longs)?;
    let size_before = reader.optional(longs)?;
    let before = price_before.zip(size_before).map(|(price, size)| Before {
        price: filled(price.into_iter()),
        size: filled(size.into_iter()),
    });
    let known = |(&kind, &side): (&u8, &u8)| {
        (OPEN..=TRADE).contains(&kind)
            && (side <= ASK || side == NO_SIDE && matches!(kind, CLEAR | TRADE))
    };
    let known = kind.iter().zip(&side).all(known);
    (known && header.price_scale <= 18 && header.size_scale <= 18).then_some(Columns {
        price_scale: header.price_scale,
        size_scale: header.size_scale,
        codec,
        trade_codec,
        seq,
        ts_recv,
        kind,
        side,
        reason,
        flags,
        order_id,
        price,
        size,
        venue_seq,
        ts_event,
        trade_id,
        taker_order_id,
        taker_side,
        before,
    })
}

/// Frames of events that follow one another, as one batch.
pub struct Run {
    pub length: usize,
    pub last_seq: i64,
    pub last_ts_recv: i64,
    pub synced: u64,
    pub columns: Columns,
}

/// The frame of events at the beginning of `bytes` with those behind it that go on with it; None
/// where no whole one stands there.
///
/// A run ends before a frame of another kind, other scales or forms of ids, before events that are
/// missing or earlier, around a CLEAR, whose book is no run of events, and before it is longer than
/// so many rows or nanoseconds.
pub fn decode_run(
    bytes: &[u8],
    codec: &Arc<Codec>,
    trade_codec: &Arc<Codec>,
    rows_max: usize,
    span_ns: i64,
) -> Option<Run> {
    let (first, columns) = events(bytes, codec, trade_codec)?;
    // Ids that were written with a form decide a codec that none has decided yet.
    codec.decide(first.forms.0);
    trade_codec.decide(first.forms.1);
    let mut run = Run {
        length: first.length,
        last_seq: first.last_seq,
        last_ts_recv: first.last_ts_recv,
        synced: first.synced,
        columns,
    };
    if !each_an_event(&first, &run.columns) {
        return Some(run);
    }
    let (mut rows, mut seq): (Vec<Row>, Vec<i64>) = (Vec::new(), Vec::new());
    let until = first.last_ts_recv.saturating_add(span_ns);
    loop {
        let behind = &bytes[run.length..];
        let Some(next) = Header::read(behind) else {
            break;
        };
        let goes_on = next.frame_type == EVENTS
            && run.last_seq.checked_add(1) == Some(next.first_seq)
            && (run.last_ts_recv..=until).contains(&next.last_ts_recv)
            && rows.len().max(first.rows).saturating_add(next.rows) <= rows_max
            && (first.forms, first.price_scale, first.size_scale)
                == (next.forms, next.price_scale, next.size_scale);
        if !goes_on {
            break;
        }
        let Some((next, columns)) = events(behind, codec, trade_codec) else {
            break;
        };
        if !each_an_event(&next, &columns) {
            break;
        }
        if rows.is_empty() {
            rows.extend((0..run.columns.len()).map(|i| run.columns.row(i)));
            seq.extend(&run.columns.seq);
        }
        rows.extend((0..columns.len()).map(|i| columns.row(i)));
        seq.extend(&columns.seq);
        run.length += next.length;
        run.last_seq = next.last_seq;
        run.last_ts_recv = next.last_ts_recv;
        run.synced = run.synced.max(next.synced);
    }
    if !rows.is_empty() {
        let scales = (first.price_scale, first.size_scale);
        run.columns = Columns::from_rows(&rows, 1, scales, codec.clone(), trade_codec.clone());
        run.columns.seq = seq;
    }
    Some(run)
}

fn events(bytes: &[u8], codec: &Arc<Codec>, trade_codec: &Arc<Codec>) -> Option<(Header, Columns)> {
    let header = Header::read(bytes).filter(|header| header.frame_type == EVENTS)?;
    let frame = &bytes[..header.length];
    let columns = header
        .crc_holds(frame)
        .then(|| decode(&header, frame, codec.clone(), trade_codec.clone()))??;
    Some((header, columns))
}

/// Whether every row is an event of its own, none of them the beginning of a book or part of one.
fn each_an_event(header: &Header, columns: &Columns) -> bool {
    let further = header.last_seq.checked_sub(header.first_seq);
    header.rows > 0
        && further == i64::try_from(header.rows - 1).ok()
        && !columns.kind.contains(&CLEAR)
        && columns
            .flags
            .iter()
            .all(|flags| flags & events::SNAPSHOT == 0)
}
