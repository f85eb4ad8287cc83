//! Lists the `.wgsl` files, so that adding a kernel is adding a file.

use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() {
    let root = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let mut out = String::new();
    for (name, folder) in [("KERNELS", root.clone()), ("PRELUDE", format!("{root}/prelude"))] {
        println!("cargo:rerun-if-changed={folder}");
        let mut files: Vec<_> = fs::read_dir(&folder)
            .expect("the folder of this crate")
            .filter_map(|e| e.ok().map(|e| e.path()))
            .filter(|p| p.extension().is_some_and(|e| e == "wgsl"))
            .collect();
        files.sort();
        writeln!(out, "static {name}: &[(&str, &str)] = &[").unwrap();
        for f in files {
            let stem = f.file_stem().and_then(|s| s.to_str()).expect("file names are ASCII");
            writeln!(out, "    ({stem:?}, include_str!({:?})),", f.display().to_string()).unwrap();
        }
        writeln!(out, "];").unwrap();
    }
    let to = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("files.rs");
    fs::write(to, out).expect("the build folder is writable");
}
