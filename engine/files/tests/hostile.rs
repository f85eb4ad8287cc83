//! Files nobody meant well with: thousands of seeded mutations and truncations of valid ones. A reader gives tensors or an
//! error; it does not panic, does not hang, and takes at most four times the file and 64 MiB.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use taper::io::safetensors;
use taper::nn::StateDict;
use taper::{DType, Device, Tensor};
use taper_files::{ModelFile, gguf, npy, npz, pt, shards};

/// The system's allocator, counting.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is the system allocator's; the counters change nothing about it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        // SAFETY: the caller's layout, as it came.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's pointer and layout, as they came.
        unsafe { System.dealloc(ptr, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One at a time: the counters are everybody's.
static TURN: Mutex<()> = Mutex::new(());

/// SplitMix64.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// A file with up to four things wrong.
fn mutated(file: &[u8], rng: &mut Rng) -> Vec<u8> {
    const NUMBERS: [u64; 10] = [0, 1, 0x7f, 0xff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 32, 0x7fff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff];
    let mut out = file.to_vec();
    let edits = if rng.below(2) == 0 { 1 } else { 2 + rng.below(3) };
    for _ in 0..edits {
        let (at, n) = (rng.below(out.len()), out.len());
        match rng.below(8) {
            0 => out.truncate(at),
            1 | 2 => {
                if let Some(b) = out.get_mut(at) {
                    *b = rng.next() as u8;
                }
            }
            3 => {
                if let Some(b) = out.get_mut(at) {
                    *b ^= 1 << rng.below(8);
                }
            }
            4 | 5 => {
                let number = NUMBERS[rng.below(NUMBERS.len())].to_le_bytes();
                let width = [1, 2, 4, 8][rng.below(4)].min(n - at);
                out[at..at + width].copy_from_slice(&number[..width]);
            }
            6 => {
                let piece: Vec<u8> = out[at..(at + rng.below(64)).min(n)].to_vec();
                let to = rng.below(n);
                out.splice(to..to, piece);
            }
            _ => drop(out.drain(at..(at + rng.below(16)).min(n))),
        }
    }
    out
}

struct Named<'a>(&'a str, u64);

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: seed {}", self.0, self.1);
        }
    }
}

/// Reads `count` mutations of each file, `TAPER_STORM` times as many if that is set; `wrap` makes a file of what was mutated.
fn storm(what: &str, count: u64, files: &[Vec<u8>], wrap: impl Fn(Vec<u8>) -> Vec<u8>, read: impl Fn(&[u8]) -> bool) {
    let _turn = TURN.lock().unwrap_or_else(|e| e.into_inner());
    let longer = std::env::var("TAPER_STORM").ok().and_then(|n| n.parse().ok()).unwrap_or(1);
    let (count, mut good, mut slowest) = (count * longer, 0, Duration::ZERO);
    for (f, file) in files.iter().enumerate() {
        assert!(read(&wrap(file.clone())), "{what}: file {f} is not valid to begin with");
        for seed in 0..count {
            let named = Named(what, seed);
            let bad = wrap(mutated(file, &mut Rng(seed ^ (f as u64) << 32)));
            let (before, start) = (NOW.load(Relaxed), Instant::now());
            PEAK.store(before, Relaxed);
            good += u64::from(read(&bad));
            let took = PEAK.load(Relaxed).saturating_sub(before);
            slowest = slowest.max(start.elapsed());
            assert!(took <= 4 * bad.len() + (64 << 20), "{what}: {took} bytes for a file of {}", bad.len());
            drop(named);
        }
        let cuts = if file.len() > 100_000 { 4 } else { file.len().min(300) };
        for n in 0..cuts {
            read(&wrap(file[..file.len() * n / cuts].to_vec()));
        }
    }
    println!("{what}: {good} of {} were still read, the slowest in {slowest:?}", count * files.len() as u64);
    assert!(slowest < Duration::from_secs(5));
}

/// Whether a file is read, and its small tensors too.
fn read_all(state: taper::Result<StateDict>) -> bool {
    let Ok(state) = state else { return false };
    for tensor in state.values().filter(|t| t.numel() < 100_000) {
        drop(tensor.to_bytes());
    }
    true
}

fn cpu() -> Device {
    Device::cpu()
}

fn state() -> StateDict {
    let of = |dtype: DType| {
        let x = Tensor::from_vec(vec![0.0f32, 1.0, 1.0, 0.0, 1.0, 1.0], [2, 3], &cpu()).unwrap();
        (format!("layer.{dtype}"), x.to_dtype(dtype).unwrap())
    };
    let mut all: StateDict = DType::ALL.into_iter().map(of).collect();
    all.insert("scalar".into(), Tensor::full([], 3i64, &cpu()).unwrap());
    all.insert("empty".into(), Tensor::zeros([0, 4], &cpu()).unwrap());
    all
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A sound zip file around one member: its checksum does not protect what is inside.
fn zipped(name: &str, contents: &[u8], more: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = rawzip::ZipArchiveWriter::new(Vec::new());
    for (name, bytes) in std::iter::once((name, contents)).chain(more.iter().copied()) {
        let (mut entry, config) = zip.new_file(name).start().unwrap();
        let mut data = config.wrap(&mut entry);
        data.write_all(bytes).unwrap();
        let (_, descriptor) = data.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    zip.finish().unwrap()
}

/// A member of a zip file.
fn member(file: &[u8], name: &str) -> Vec<u8> {
    let zip = rawzip::ZipArchive::from_slice(file).unwrap();
    let found = zip.entries().map(|e| e.unwrap()).find(|e| e.file_path().as_ref() == name.as_bytes()).unwrap();
    zip.get_entry(found.wayfinder()).unwrap().data().to_vec()
}

#[test]
fn npy() {
    let files = [npy::write(&state()["layer.f32"]).unwrap(), golden("fortran.npy"), golden("version3.npy")];
    let read = |b: &[u8]| npy::read(b, &cpu()).map(|t| drop(t.to_bytes())).is_ok();
    storm("npy", 3000, &files, |b| b, read);
}

#[test]
fn npz() {
    use npz::Compression::{Deflated, Stored};
    let files = [npz::write(&state(), Stored).unwrap(), npz::write(&state(), Deflated).unwrap(), golden("arrays_deflated.npz")];
    storm("npz", 2000, &files, |b| b, |b| read_all(npz::read(b, &cpu())));
    let array = [npy::write(&state()["layer.i64"]).unwrap()];
    storm("npy in npz", 2000, &array, |b| zipped("x.npy", &b, &[]), |b| read_all(npz::read(b, &cpu())) && npz::inspect(b).is_ok());
}

fn read_pt(b: &[u8]) -> bool {
    drop(pt::inspect(b));
    let Ok(value) = pt::read(b, &cpu()) else { return false };
    for (_, tensor) in value.tensors().into_iter().filter(|(_, t)| t.numel() < 100_000) {
        drop(tensor.to_bytes());
    }
    true
}

#[test]
fn pt_containers() {
    let files = [golden("values.pt"), golden("values_legacy.pt"), golden("checkpoint.pth"), pt::write_state_dict(&state()).unwrap()];
    storm("pt", 1500, &files, |b| b, read_pt);
}

/// The pickle itself, with all storages at hand.
#[test]
fn pickles() {
    let (values, two) = (golden("values.pt"), golden("values_protocol4.pt"));
    let storages: Vec<(String, Vec<u8>)> =
        (0..17).map(|i| (format!("a/data/{i}"), member(&values, &format!("archive/data/{i}")))).collect();
    let more: Vec<(&str, &[u8])> = storages.iter().map(|(n, b)| (&n[..], &b[..])).collect();
    let files = [member(&values, "archive/data.pkl"), member(&two, "archive/data.pkl")];
    storm("pickle", 6000, &files, |b| zipped("a/data.pkl", &b, &more), read_pt);
}

#[test]
fn gguf() {
    let metadata = gguf::Header::parse(&golden("quants.gguf")).unwrap().metadata;
    let kept: StateDict = state().into_iter().filter(|(_, t)| t.dtype().is_float()).collect();
    let files = [golden("quants.gguf"), golden("big_endian.gguf"), gguf::write(&kept, &metadata, |_, _| None).unwrap()];
    storm("gguf", 3000, &files, |b| b, |b| read_all(gguf::read(b, &cpu())));
}

#[test]
fn safetensors_and_their_index() {
    let text = BTreeMap::from([("format".to_string(), "pt".to_string())]);
    let files = [safetensors::serialize(&state(), &text).unwrap()];
    storm("safetensors", 4000, &files, |b| b, |b| read_all(safetensors::deserialize(b, &cpu())));
    let index = shards::split(&state(), 16, &text).unwrap().pop().unwrap().1;
    storm("index", 4000, &[index], |b| b, |b| shards::Index::parse(b).is_ok());
}

#[test]
fn any_format() {
    let files = ["values.pt", "values_legacy.pt", "arrays.npz", "fortran.npy", "quants.gguf"].map(golden);
    let read = |b: &[u8]| {
        let Ok(file) = ModelFile::open(b) else { return false };
        for entry in file.entries().iter().filter(|e| e.numel() < 100_000) {
            drop(file.tensor(&entry.name, &cpu()));
        }
        true
    };
    storm("any", 300, &files, |b| b, read);
}

/// Files that are small and would be large: each made so that a careless reader takes gigabytes, or forever.
#[test]
fn small_files_stay_small() {
    let push = |op: &[u8], n: usize| {
        let mut code = b"\x80\x02".to_vec();
        code.extend(op.repeat(n));
        code.push(b'.');
        code
    };
    let many = 1 << 18;
    let mut nested = b"\x80\x02]".to_vec();
    for _ in 0..40 {
        nested.extend(b"q\x00]h\x00ah\x00ah\x00ah\x00a");
    }
    nested.push(b'.');
    let pickles = [push(b"N", many), push(b"]", many), push(b"(", many), push(b"}\x94", many), push(b"]\x94h\x00a", many), nested];
    storm(
        "large pickles",
        20,
        &pickles,
        |b| zipped("a/data.pkl", &b, &[]),
        |b| {
            read_pt(b);
            true
        },
    );
    let deep = [[&b"["[..]; 1000].concat().repeat(100), br#"{"a":"#.repeat(100_000)];
    storm(
        "deep json",
        5,
        &deep,
        |b| b,
        |b| {
            assert!(shards::Index::parse(b).is_err());
            let mut file = (b.len() as u64).to_le_bytes().to_vec();
            file.extend(b);
            safetensors::deserialize(&file, &cpu()).ok();
            true
        },
    );
    let mut array = b"GGUF\x03\0\0\0".to_vec();
    array.extend([0u64, 1, 1].iter().flat_map(|n| n.to_le_bytes()));
    array.push(b'k');
    array.extend(9u32.to_le_bytes());
    for _ in 0..100_000 {
        array.extend(9u32.to_le_bytes());
        array.extend(1u64.to_le_bytes());
    }
    storm(
        "deep gguf",
        5,
        &[array],
        |b| b,
        |b| {
            gguf::Header::parse(b).ok();
            true
        },
    );
}
