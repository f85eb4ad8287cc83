//! Taper in a web page: the JavaScript face of the engine.
//!
//! So far it proves that the engine builds for wasm32 and says which version a page has loaded:
//!
//! ```js
//! import init, { version } from "./taper_web.js";
//! await init();
//! console.log(version());
//! ```

use wasm_bindgen::prelude::wasm_bindgen;

// Links the engine although no line here calls it yet: the wasm32 build of this crate is then a build of both.
use taper as _;

/// The version of Taper that this module was built from, such as `"0.1.0"`.
#[wasm_bindgen]
pub fn version() -> String {
    env!("CARGO_PKG_VERSION").to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_is_major_minor_patch() {
        assert_eq!(super::version().split('.').count(), 3);
    }
}
