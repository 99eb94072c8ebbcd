//! Patterns of orders as they happen: constant work an event, bounded state.

use crate::watch::{Told, Watch};

#[derive(Default)]
pub struct Detectors {
    pub scales: (u8, u8),
}

impl Watch for Detectors {
    fn advance(&mut self, _ts: i64) {}

    fn take(&mut self, _told: &Told) {}

    fn adopt(&mut self, scales: (u8, u8)) -> bool {
        self.scales = scales;
        true
    }
}
