use super::*;
use crate::npz;

fn cpu() -> Device {
    Device::cpu()
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn blocks_of_every_kind_are_what_the_reference_makes_of_them() {
    let (bytes, expected) = (golden("quants.gguf"), npz::read(&golden("quants.npz"), &cpu()).unwrap());
    let header = Header::parse(&bytes).unwrap();
    let mut kinds = 0;
    for (name, want) in expected.iter().filter(|(n, _)| n.starts_with("read.")) {
        let got = header.tensor(&bytes, name, &cpu()).unwrap();
        assert_eq!(got.shape(), want.shape(), "{name}");
        // To the bit.
        assert_eq!(got.to_bytes().unwrap(), want.to_bytes().unwrap(), "{name}");
        kinds += 1;
    }
    assert_eq!(kinds, 10);
    let plain = header.tensor(&bytes, "plain.F16", &cpu()).unwrap();
    assert_eq!(plain.to_bytes().unwrap(), expected["plain.F16"].to_bytes().unwrap());
    assert_eq!(header.tensor(&bytes, "plain.F32", &cpu()).unwrap().shape(), [2, 3]);
}

#[test]
fn blocks_are_written_as_the_reference_writes_them() {
    let expected = npz::read(&golden("quants.npz"), &cpu()).unwrap();
    let state = StateDict::from([("x".to_string(), expected["x"].clone())]);
    for kind in [Type::Q4_0, Type::Q4_1, Type::Q5_0, Type::Q5_1, Type::Q8_0] {
        let bytes = write(&state, &BTreeMap::new(), |_, _| Some(kind)).unwrap();
        let at = Header::parse(&bytes).unwrap().tensors["x"].bytes.clone();
        let want = expected[&format!("write.{}", kind.name())].to_vec::<u8>().unwrap();
        assert_eq!(bytes[at], want, "{}", kind.name());
    }
}

#[test]
fn what_a_file_says_is_read_and_written() {
    let header = Header::parse(&golden("quants.gguf")).unwrap();
    let m = &header.metadata;
    assert_eq!(m["general.architecture"].as_str(), Some("llama"));
    assert_eq!(m["tokenizer.ggml.tokens"].as_strings().unwrap(), ["<s>", "</s>", "größe"]);
    assert_eq!(m["tokenizer.ggml.scores"], Meta::Array(Array::F32(vec![0.0, -1.0, -2.5])));
    assert_eq!((m["a.u8"].as_int(), m["a.i64"].as_int(), &m["a.f32"]), (Some(200), Some(-5), &Meta::F32(0.5)));
    assert_eq!((&m["a.bool"], m["a.ints"].to_string()), (&Meta::Bool(true), "[1, -2, 3]".into()));

    let mut metadata = m.clone();
    metadata.insert("deep".into(), Meta::Array(Array::Array(vec![Array::U16(vec![7]), Array::Str(vec!["x".into()])])));
    metadata.insert("general.alignment".into(), Meta::U32(128));
    let mut state = StateDict::new();
    for dtype in [DType::F32, DType::F16, DType::BF16, DType::F64, DType::I8, DType::I16, DType::I32, DType::I64] {
        let x = Tensor::from_vec((0..15).map(|i| i as f32).collect(), [3, 5], &cpu()).unwrap();
        state.insert(dtype.name().into(), x.to_dtype(dtype).unwrap());
    }
    state.insert("scalar".into(), Tensor::full([], 2.5, &cpu()).unwrap());
    let bytes = write(&state, &metadata, |_, _| None).unwrap();
    let header = Header::parse(&bytes).unwrap();
    assert_eq!(header.metadata, metadata);
    assert!(header.tensors.values().all(|t| t.bytes.start % 128 == 0));
    for (name, want) in &state {
        let got = header.tensor(&bytes, name, &cpu()).unwrap();
        assert_eq!((got.dtype(), got.shape(), got.to_bytes().unwrap()), (want.dtype(), want.shape(), want.to_bytes().unwrap()));
    }
}

#[test]
fn big_endian_files_are_read() {
    let (bytes, expected) = (golden("big_endian.gguf"), npz::read(&golden("quants.npz"), &cpu()).unwrap());
    let header = Header::parse(&bytes).unwrap();
    assert_eq!((header.version, &header.metadata["a.u32"]), (3, &Meta::U32(70000)));
    let want = expected["x"].narrow(1, 0, 3).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(header.tensor(&bytes, "x", &cpu()).unwrap().to_vec::<f32>().unwrap(), want);
}

#[test]
fn what_does_not_fit_is_refused() {
    let one = |dtype: DType, n: usize| StateDict::from([("x".to_string(), Tensor::zeros([n], (dtype, &cpu())).unwrap())]);
    let why = write(&one(DType::U8, 4), &BTreeMap::new(), |_, _| None).unwrap_err().to_string();
    assert!(why.contains("x is u8, which GGUF does not have"), "{why}");
    let why = write(&one(DType::F32, 40), &BTreeMap::new(), |_, _| Some(Type::Q4_0)).unwrap_err().to_string();
    assert!(why.contains("rows of 40 are no whole blocks of 32"), "{why}");
    let why = write(&one(DType::F32, 256), &BTreeMap::new(), |_, _| Some(Type::Q4_K)).unwrap_err().to_string();
    assert!(why.contains("read, but not written"), "{why}");

    let good = write(&one(DType::F32, 4), &BTreeMap::new(), |_, _| None).unwrap();
    // Name (8 + 1), rank (4), size (8), type (4), offset (8), behind a head of 24 bytes.
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        Header::parse(&bad).map(|_| ()).unwrap_err().to_string()
    };
    for (at, bytes, what) in [
        (4, &[1u8, 0, 0, 0][..], "version 1"),
        (8, &[2], "outside the file"),
        (16, &[255; 8], "is there twice"),
        (33, &[99], "99 dimensions"),
        (37, &[9], "outside the file"),
        (37, &[255; 8], "more elements"),
        (45, &[77], "unknown type 77"),
        (45, &[12], "no whole blocks"),
        (49, &[4], "multiple of 32"),
        (49, &[32], "outside the file"),
        (49, &[255; 8], "outside the file"),
    ] {
        let why = with(at, bytes);
        assert!(why.contains(what), "{what}: {why}");
    }
}
