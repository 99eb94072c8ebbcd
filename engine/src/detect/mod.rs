//! Patterns of orders as they happen: constant work an event, bounded state, the time of events alone.
//!
//! Each rule is a module; what is usual in the market, which they all measure against, is `market`.
//! A finding says what was seen and what speaks against it; public feeds carry no trader.

mod depth;
pub mod finding;
mod ignition;
mod layering;
mod loud;
mod market;
mod native;
pub mod parameters;
mod rates;
mod spoof;
mod stuffing;
mod synthetic;
#[cfg(test)]
mod tests;

use crate::detect::finding::{Finding, Outbox};
use crate::detect::ignition::Ignition;
use crate::detect::loud::Loud;
use crate::detect::market::Market;
use crate::detect::native::Native;
use crate::detect::parameters::Parameters;
use crate::detect::stuffing::Stuffing;
use crate::detect::synthetic::Synthetic;
use crate::events::{CLEAR, SNAPSHOT};
use crate::number::power_of_ten;
use crate::watch::{Told, Watch};

pub struct Detectors {
    pub scales: (u8, u8),
    parameters: Parameters,
    market: Market,
    out: Outbox,
    native: Native,
    loud: Loud,
    synthetic: Synthetic,
    stuffing: Stuffing,
    ignition: Ignition,
}

impl Default for Detectors {
    fn default() -> Self {
        Self::new(Parameters::default())
    }
}

impl Detectors {
    pub fn new(parameters: Parameters) -> Self {
        Self {
            scales: (0, 0),
            market: Market::default(),
            out: Outbox::default(),
            native: Native::new(&parameters),
            loud: Loud::new(&parameters),
            synthetic: Synthetic::new(&parameters),
            stuffing: Stuffing::new(&parameters),
            ignition: Ignition::new(&parameters),
            parameters,
        }
    }

    /// Events are missing from here: what was open is dropped, what is usual stays.
    pub fn gap(&mut self) {
        self.market.clear();
        self.native.forget();
        self.loud.forget();
        self.synthetic.forget();
        self.stuffing.forget();
        self.ignition.forget();
    }

    /// Findings since it was last asked, oldest first.
    pub fn drain(&mut self) -> Vec<Finding> {
        self.out.drain()
    }
}

impl Watch for Detectors {
    fn advance(&mut self, ts: i64) {
        let Self {
            market,
            parameters,
            out,
            ..
        } = self;
        market.advance(ts);
        out.now.1 = ts;
        self.native.advance(ts, out);
        self.synthetic.advance(ts, out);
        self.stuffing.advance(ts, market, parameters, out);
        self.ignition.advance(ts, market, parameters, out);
        self.loud.advance(ts, market, parameters, out);
    }

    fn take(&mut self, told: &Told) {
        let step = told.step;
        self.out.now = (step.seq, step.ts);
        if step.kind == CLEAR {
            self.gap();
            return;
        }
        let Self {
            market,
            parameters,
            out,
            native,
            ..
        } = self;
        market.see(told);
        if step.flags & SNAPSHOT != 0 {
            self.loud.stood(told);
            return;
        }
        native.take(told, out);
        let keeps_ids = native.refreshes > 0;
        self.synthetic
            .take(told, market, parameters, keeps_ids, out);
        self.stuffing.take(told);
        self.ignition.take(told, market, parameters, out);
        self.loud.take(told, market, parameters, out);
    }

    fn adopt(&mut self, scales: (u8, u8)) -> bool {
        if scales == self.scales {
            return true;
        }
        if scales.0 < self.scales.0 || scales.1 < self.scales.1 {
            return false;
        }
        let price = power_of_ten(scales.0 - self.scales.0);
        let size = power_of_ten(scales.1 - self.scales.1);
        self.scales = scales;
        self.market.rescale(scales, price, size);
        self.out.rescale(scales, price, size);
        self.native.rescale(price, size);
        self.loud.rescale(scales.1, price, size);
        self.synthetic.rescale(price, size);
        self.stuffing.rescale(price, size);
        self.ignition.rescale(price, size);
        true
    }
}
