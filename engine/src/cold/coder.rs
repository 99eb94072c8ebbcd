//! Entropy coding with the statistics of one block: range asymmetric numeral systems (rANS) over
//! tables of at most 256 symbols, and beside them bits that no statistic could shorten.
//!
//! A number is a symbol that tells its magnitude (exact below 16, then four symbols an octave) and
//! the bits below.  Two states take turns, so that one step need not wait for the one before.

/// Frequencies of a table sum to this.
const SCALE_BITS: u32 = 12;
const SCALE: u32 = 1 << SCALE_BITS;
/// A state is at least this and below 2^32.
const LEAST: u32 = 1 << 16;
/// Bytes behind the last bit, so that eight can be loaded at any of them.
const PADDING: usize = 8;

/// Symbol and number of bits below it.
#[inline]
pub fn split(value: u64) -> (u8, u32) {
    if value < 16 {
        return (value as u8, 0);
    }
    let top = 63 - value.leading_zeros();
    let below = top - 2;
    (
        (16 + (top - 4) * 4 + ((value >> below) & 3) as u32) as u8,
        below,
    )
}

/// What a symbol of `split` stands for, its lower bits zero, and how many these are.
#[inline(always)]
fn magnitude(symbol: u8) -> (u64, u32) {
    if symbol < 16 {
        return (u64::from(symbol), 0);
    }
    let above = u32::from(symbol) - 16;
    let below = above / 4 + 2;
    (u64::from(4 + (above & 3)) << below, below)
}

#[inline(always)]
pub fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline(always)]
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

// Headers ------------------------------------------------------------------------------------------

/// Writes what stands before the streams: numbers of seven bits a byte.
#[derive(Default)]
pub struct HeadWriter(pub Vec<u8>);

impl HeadWriter {
    pub fn number(&mut self, mut value: u64) {
        while value >= 128 {
            self.0.push(value as u8 | 128);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    pub fn signed(&mut self, value: i64) {
        self.number(zigzag(value));
    }
}

/// Reads it; None where it ends too early.
pub struct HeadReader<'a>(pub &'a [u8]);

impl<'a> HeadReader<'a> {
    pub fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 127).checked_shl(shift)?;
            if byte < 128 {
                return Some(value);
            }
        }
        None
    }

    pub fn signed(&mut self) -> Option<i64> {
        self.number().map(unzigzag)
    }

    /// A count of things that take at least a byte each.
    pub fn count(&mut self, most: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= most).then_some(count)
    }

    pub fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }
}

// Tables -------------------------------------------------------------------------------------------

/// How often each symbol came; then how many of SCALE slots it has.
pub type Counts = [u32; 256];

/// Frequencies that sum to SCALE, at least 1 for what came at all.
fn frequencies(counts: &Counts) -> Counts {
    let total: u64 = counts.iter().map(|&count| u64::from(count)).sum();
    let mut shares = [0; 256];
    if total == 0 {
        return shares;
    }
    for (share, &count) in shares.iter_mut().zip(counts) {
        if count > 0 {
            let exact = u64::from(count) * u64::from(SCALE) / total;
            *share = (exact as u32).max(1);
        }
    }
    // What rounding left over or took too much goes to, or comes from, the largest.
    let mut sum: u32 = shares.iter().sum();
    while sum != SCALE {
        let (at, &largest) = shares
            .iter()
            .enumerate()
            .max_by_key(|&(_, share)| *share)
            .unwrap_or((0, &0));
        if sum < SCALE {
            shares[at] += SCALE - sum;
        } else {
            let taken = (sum - SCALE).min((largest / 2).max(1));
            shares[at] -= taken;
        }
        sum = shares.iter().sum();
    }
    shares
}

fn write_frequencies(head: &mut HeadWriter, shares: &Counts) {
    let used = shares.iter().filter(|&&share| share > 0).count();
    head.number(used as u64);
    let mut next = 0;
    for (symbol, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 0) {
        head.number((symbol - next) as u64);
        head.number(u64::from(share));
        next = symbol + 1;
    }
}

fn read_frequencies(head: &mut HeadReader) -> Option<Counts> {
    let mut shares = [0; 256];
    let (mut next, mut sum) = (0, 0);
    for _ in 0..head.count(256)? {
        let symbol = next + head.count(255)?;
        let share = head.count(SCALE as usize)? as u32;
        *shares.get_mut(symbol)? = share;
        sum += share;
        next = symbol + 1;
    }
    (sum == SCALE || sum == 0).then_some(shares)
}

/// One slot of a decoding table: symbol, frequency less one, slot less the symbol's first.
#[derive(Clone, Copy)]
struct Slot(u32);

// Encoding -----------------------------------------------------------------------------------------

/// Symbols and bits in the order in which they will be read.
#[derive(Default)]
pub struct Encoder {
    steps: Vec<(u16, u8)>,
    bits: Vec<u8>,
    held: u64,
    filled: u32,
}

impl Encoder {
    pub fn symbol(&mut self, table: u16, symbol: u8) {
        self.steps.push((table, symbol));
    }

    pub fn number(&mut self, table: u16, value: u64) {
        let (symbol, below) = split(value);
        self.symbol(table, symbol);
        self.bits(value, below);
    }

    /// The lowest bits of a value.
    pub fn bits(&mut self, value: u64, count: u32) {
        let mut left = count;
        let mut value = value;
        while left > 0 {
            let now = left.min(32);
            self.held |= (value & ((1 << now) - 1)) << self.filled;
            self.filled += now;
            value = value.checked_shr(now).unwrap_or(0);
            left -= now;
            while self.filled >= 8 {
                self.bits.push(self.held as u8);
                self.held >>= 8;
                self.filled -= 8;
            }
        }
    }

    /// Tables, then the symbols, then the bits.
    pub fn finish(mut self, tables: usize, head: &mut HeadWriter) {
        let mut counts = vec![[0; 256]; tables];
        for &(table, symbol) in &self.steps {
            counts[usize::from(table)][usize::from(symbol)] += 1;
        }
        let shares: Vec<Counts> = counts.iter().map(frequencies).collect();
        for table in &shares {
            write_frequencies(head, table);
        }
        let firsts: Vec<Counts> = shares.iter().map(running).collect();
        let mut states = [LEAST; 2];
        let mut words: Vec<u16> = Vec::new();
        for (nth, &(table, symbol)) in self.steps.iter().enumerate().rev() {
            let (table, symbol) = (usize::from(table), usize::from(symbol));
            let (share, first) = (shares[table][symbol], firsts[table][symbol]);
            let state = &mut states[nth & 1];
            if u64::from(*state) >= u64::from(share) << (32 - SCALE_BITS) {
                words.push(*state as u16);
                *state >>= 16;
            }
            *state = ((*state / share) << SCALE_BITS) + *state % share + first;
        }
        for state in states {
            head.number(u64::from(state));
        }
        head.number(words.len() as u64);
        for word in words.iter().rev() {
            head.0.extend_from_slice(&word.to_le_bytes());
        }
        if self.filled > 0 {
            self.bits.push(self.held as u8);
        }
        self.bits.extend_from_slice(&[0; PADDING]);
        head.number(self.bits.len() as u64);
        head.0.extend_from_slice(&self.bits);
    }
}

fn running(shares: &Counts) -> Counts {
    let mut next = 0;
    shares.map(|share| {
        next += share;
        next - share
    })
}

// Decoding -----------------------------------------------------------------------------------------

pub struct Decoder<'a> {
    slots: Vec<Slot>,
    /// The state whose turn it is, and the other.
    states: (u32, u32),
    words: &'a [u8],
    word: usize,
    bits: &'a [u8],
    bit: usize,
}

impl<'a> Decoder<'a> {
    pub fn new(tables: usize, head: &mut HeadReader<'a>) -> Option<Self> {
        let mut slots = Vec::with_capacity(tables << SCALE_BITS);
        let mut place = Vec::with_capacity(tables);
        for _ in 0..tables {
            let shares = read_frequencies(head)?;
            place.push(slots.len());
            for (symbol, &share) in shares.iter().enumerate() {
                slots.extend((0..share).map(|nth| {
                    Slot(symbol as u32 | ((share - 1) << 8) | (nth << (8 + SCALE_BITS)))
                }));
            }
            // A table that nothing uses stands for symbol 0 alone.
            slots.resize(place.len() << SCALE_BITS, Slot((SCALE - 1) << 8));
        }
        let mut state = || u32::try_from(head.number()?).ok();
        let states = (state()?, state()?);
        let length = head.count(head.0.len() / 2)?;
        let words = head.take(length * 2)?;
        let length = head.count(head.0.len())?;
        let bits = head.take(length)?;
        Some(Self {
            slots,
            states,
            words,
            word: 0,
            bits,
            bit: 0,
        })
    }

    #[inline(always)]
    pub fn symbol(&mut self, table: usize) -> u8 {
        let (state, other) = self.states;
        let Slot(slot) = self.slots[(table << SCALE_BITS) + (state & (SCALE - 1)) as usize];
        let share = ((slot >> 8) & (SCALE - 1)) + 1;
        let mut next = share
            .wrapping_mul(state >> SCALE_BITS)
            .wrapping_add(slot >> (8 + SCALE_BITS));
        if next < LEAST {
            let word = match self.words.get(self.word..self.word + 2) {
                Some(bytes) => u16::from_le_bytes([bytes[0], bytes[1]]),
                None => 0,
            };
            self.word += 2;
            next = (next << 16) | u32::from(word);
        }
        self.states = (other, next);
        slot as u8
    }

    #[inline(always)]
    pub fn number(&mut self, table: usize) -> u64 {
        let (value, below) = magnitude(self.symbol(table));
        if below == 0 {
            return value;
        }
        value | self.bits(below)
    }

    #[inline(always)]
    pub fn bits(&mut self, count: u32) -> u64 {
        if count > 56 {
            let low = self.few_bits(32);
            return low | (self.few_bits(count - 32) << 32);
        }
        self.few_bits(count)
    }

    #[inline(always)]
    fn few_bits(&mut self, count: u32) -> u64 {
        let at = self.bit >> 3;
        let loaded = match self.bits.get(at..at + 8) {
            Some(bytes) => bytes.try_into().map_or(0, u64::from_le_bytes),
            None => 0,
        };
        let value = (loaded >> (self.bit & 7)) & ((1 << count) - 1);
        self.bit += count as usize;
        value
    }

    /// Whether exactly what was written has been read.
    pub fn is_exhausted(&self) -> bool {
        self.word == self.words.len()
            && self.bit.div_ceil(8) + PADDING == self.bits.len()
            && self.states == (LEAST, LEAST)
    }
}
