//! The flow of a market, a row a second: what came, went and traded, and how the book stood meanwhile.

use crate::watch::{Told, Watch};

#[derive(Default)]
pub struct Flow {
    pub scales: (u8, u8),
}

impl Watch for Flow {
    fn advance(&mut self, _ts: i64) {}

    fn take(&mut self, _told: &Told) {}

    fn adopt(&mut self, scales: (u8, u8)) -> bool {
        self.scales = scales;
        true
    }
}
