//! Whole-system tests of Taper.

pub mod conformance;
