//! The command line, run as people run it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use taper::{Device, Tensor};
use taper_files::shards;

struct Folder(PathBuf);

impl Folder {
    /// A folder with a model of two layers in it.
    fn new(name: &str) -> Folder {
        let dir = std::env::temp_dir().join(format!("taper-{name}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let folder = Folder(dir);
        taper_native::save_safetensors(folder.0.join("m.safetensors"), &state()).unwrap();
        folder
    }

    fn taper(&self, args: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_taper")).args(args).current_dir(&self.0).output().unwrap()
    }

    fn ok(&self, args: &[&str]) -> String {
        let out = self.taper(args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    }

    /// The status and the one line.
    fn fails(&self, args: &[&str]) -> (i32, String) {
        let out = self.taper(args);
        let text = String::from_utf8(out.stderr).unwrap();
        (out.status.code().unwrap(), text)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn state() -> taper::nn::StateDict {
    let device = Device::cpu();
    let of = |name: &str, shape: &[usize]| {
        let n: usize = shape.iter().product();
        (name.to_string(), Tensor::from_vec((0..n).map(|i| i as f32 / 8.0).collect(), shape, &device).unwrap())
    };
    [of("layers.2.weight", &[4, 32]), of("layers.10.weight", &[2, 3]), of("layers.10.bias", &[2])].into()
}

#[test]
fn inspect_shows_the_tree() {
    let folder = Folder::new("inspect");
    let text = folder.ok(&["inspect", "m.safetensors"]);
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    assert_eq!(lines[0], "m.safetensors: safetensors");
    assert_eq!(lines[2..5], ["tensors", "  layers", "    2"]);
    assert!(lines[5].starts_with("      weight  F32") && lines[5].contains("[4, 32]") && lines[5].ends_with("512 B"), "{text}");
    assert_eq!(lines[6], "    10");
    assert!(text.ends_with("all  3 tensors, 136 elements, 544 B\n"), "{text}");

    for (name, bytes) in shards::split(&state(), 100, &BTreeMap::new()).unwrap() {
        fs::write(folder.0.join(name), bytes).unwrap();
    }
    let text = folder.ok(&["inspect", "model.safetensors.index.json"]);
    assert!(text.contains("safetensors in 2 files") && text.contains("total_size = 544"), "{text}");
}

#[test]
fn a_model_goes_through_every_format_and_is_the_same() {
    let folder = Folder::new("convert");
    for (from, to) in [("m.safetensors", "m.pt"), ("m.pt", "m.npz"), ("m.npz", "m.gguf"), ("m.gguf", "back.safetensors")] {
        folder.ok(&["convert", from, to]);
        let text = folder.ok(&["verify", to]);
        assert!(text.contains("3 tensors, 544 B: in bounds, apart, readable"), "{text}");
        let text = folder.ok(&["compare", "m.safetensors", to, "--rtol", "0", "--atol", "0"]);
        assert!(text.ends_with("all 3 agree\n"), "{text}");
    }
    folder.ok(&["convert", "m.safetensors", "half.pt", "--dtype", "bf16"]);
    assert!(folder.ok(&["inspect", "half.pt"]).contains("bfloat16"));
    folder.ok(&["convert", "m.safetensors", "q.gguf", "--dtype", "q8_0"]);
    let text = folder.ok(&["inspect", "q.gguf"]);
    assert!(text.contains("Q8_0") && text.contains("F32"), "{text}");
    let out = folder.taper(&["compare", "m.safetensors", "q.gguf"]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stdout).contains("1 of 3 differ, first layers.2.weight"));
    folder.ok(&["compare", "m.safetensors", "q.gguf", "--atol", "0.1"]);
}

#[test]
fn bad_usage_is_2_and_a_bad_file_is_1_in_one_line() {
    let folder = Folder::new("bad");
    let whole = fs::read(folder.0.join("m.safetensors")).unwrap();
    fs::write(folder.0.join("cut.safetensors"), &whole[..whole.len() - 1]).unwrap();
    fs::write(folder.0.join("text.pt"), "hello").unwrap();
    folder.ok(&["convert", "m.safetensors", "m.npz"]);
    let mut damaged = fs::read(folder.0.join("m.npz")).unwrap();
    let at = damaged.windows(4).rposition(|w| w == b"PK\x07\x08").unwrap() - 2;
    damaged[at] ^= 1;
    fs::write(folder.0.join("damaged.npz"), damaged).unwrap();
    for (args, status, what) in [
        (&["inspect", "cut.safetensors"][..], 1, "cut.safetensors: safetensors: incomplete metadata"),
        (&["inspect", "missing.pt"], 1, "missing.pt"),
        (&["verify", "text.pt"], 1, "none of the known formats"),
        (&["verify", "damaged.npz"], 1, "damaged"),
        (&["inspect", "."], 1, "without model.safetensors"),
        (&["convert", "m.safetensors", "m.doc"], 2, "ends in none of"),
        (&["convert", "m.safetensors", "m.npy"], 2, "holds one tensor, not 3"),
        (&["convert", "m.safetensors", "m.pt", "--dtype", "q8_0"], 2, "only GGUF"),
        (&["compare", "m.safetensors", "m.npz", "--rtol=-1"], 2, "0 or more"),
    ] {
        let (code, text) = folder.fails(args);
        assert_eq!((code, text.lines().count()), (status, 1), "{args:?}: {text}");
        assert!(text.contains(what), "{args:?}: {text}");
    }
    for args in [&["convert", "m.safetensors", "m.pt", "--dtype", "i8"][..], &["inspect"], &["unknown"], &[]] {
        assert_eq!(folder.fails(args).0, 2, "{args:?}");
    }
    assert!(!Path::new(&folder.0.join("m.doc")).exists());
}

/// A name in a file cannot write to the terminal what it likes.
#[test]
fn names_are_shown_without_control_characters() {
    let folder = Folder::new("control");
    let x = Tensor::ones([1], &Device::cpu()).unwrap();
    taper_native::save_safetensors(folder.0.join("evil.safetensors"), &[("a\u{1b}[2J\nb".to_string(), x)].into()).unwrap();
    let text = folder.ok(&["inspect", "evil.safetensors"]);
    assert!(!text.contains('\u{1b}') && text.contains("[2J"), "{text}");
}
