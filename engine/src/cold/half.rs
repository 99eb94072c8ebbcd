//! One side of a book as ranks of prices: how many orders stand at each, and which is the best.

/// The prices of one side that orders named so far stand at; ranks count up to the best.
pub struct Half {
    counts: Vec<u32>,
    words: Vec<u64>,
    pub best: usize,
}

impl Half {
    pub fn new(prices: usize) -> Self {
        Self {
            counts: vec![0; prices],
            words: vec![0; prices.div_ceil(64)],
            best: 0,
        }
    }

    #[inline(always)]
    pub fn join(&mut self, rank: usize) {
        self.counts[rank] += 1;
        if self.counts[rank] == 1 {
            let was_empty = self.words[self.best / 64] & (1 << (self.best % 64)) == 0;
            self.words[rank / 64] |= 1 << (rank % 64);
            if was_empty || rank > self.best {
                self.best = rank;
            }
        }
    }

    #[inline(always)]
    pub fn leave(&mut self, rank: usize) {
        self.counts[rank] -= 1;
        if self.counts[rank] == 0 {
            self.words[rank / 64] &= !(1 << (rank % 64));
            if rank == self.best {
                self.fall();
            }
        }
    }

    /// The next best; where there is none the last one stays a good guess.
    fn fall(&mut self) {
        let upto = self.best / 64;
        if let Some(at) = self.words[..=upto].iter().rposition(|&word| word != 0) {
            self.best = at * 64 + 63 - self.words[at].leading_zeros() as usize;
        }
    }
}
