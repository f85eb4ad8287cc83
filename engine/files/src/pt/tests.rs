use super::*;

use std::process::Command;

fn cpu() -> Device {
    Device::cpu()
}

fn golden(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn tensor<'a>(value: &'a Value, key: &str) -> &'a Tensor {
    value.get(key).and_then(Value::as_tensor).unwrap_or_else(|| panic!("{key}"))
}

/// What `golden/make.py` put into its files.
fn check_values(v: &Value) {
    let state = v.get("state_dict").unwrap();
    for dtype in DType::ALL.into_iter().filter(|d| !matches!(d, DType::U16 | DType::U32 | DType::U64)) {
        let (_, name, _) = globals::TYPES.iter().find(|(d, ..)| *d == dtype).unwrap();
        let t = tensor(state, &format!("dtype.{name}"));
        assert_eq!((t.dtype(), t.shape()), (dtype, &[3][..]));
        assert_eq!(t.to_dtype(DType::F64).unwrap().to_vec::<f64>().unwrap(), [0.0, 1.0, 1.0]);
    }
    assert_eq!(tensor(state, "empty").shape(), [0, 4]);
    assert_eq!(tensor(state, "scalar").item::<i64>().unwrap(), -3);

    let views: Vec<&Tensor> = v.get("views").and_then(Value::elements).unwrap().iter().map(|t| t.as_tensor().unwrap()).collect();
    let want: [(&[usize], &[f32]); 5] = [
        (&[12], &[0., 1., 2., 3., 4., 5., 6., 7., 8., 9., 10., 11.]),
        (&[2, 3], &[2., 3., 4., 5., 6., 7.]),
        (&[4, 3], &[0., 4., 8., 1., 5., 9., 2., 6., 10., 3., 7., 11.]),
        (&[3], &[0., 5., 10.]),
        (&[2, 2], &[0.; 4]),
    ];
    for (t, (shape, values)) in views.iter().zip(want) {
        assert_eq!((t.shape(), &t.to_vec::<f32>().unwrap()[..]), (shape, values));
        assert!(t.shares_storage(views[0]).unwrap());
    }
    let tied = v.get("tied").and_then(Value::elements).unwrap();
    assert!(tied[0].as_tensor().unwrap().same_view(tied[1].as_tensor().unwrap()).unwrap());

    assert!(matches!(v.get("parameter"), Some(Value::Parameter(p)) if !p.requires_grad()));
    assert!(matches!(v.get("trained"), Some(Value::Parameter(p)) if p.requires_grad() && p.item::<f32>().unwrap() == 3.0));
    for (key, want) in [("epoch", 7), ("big", 1 << 40), ("negative", -300)] {
        assert_eq!(v.get(key).and_then(Value::as_int), Some(want));
    }
    assert_eq!(v.get("lr").and_then(Value::as_float), Some(1e-3));
    assert_eq!(v.get("name").and_then(Value::as_str), Some("größe"));
    assert!(matches!(v.get("none"), Some(Value::None)));
    assert!(matches!(v.get("flags").and_then(Value::elements), Some([Value::Bool(true), Value::Bool(false)])));
    assert!(matches!(v.get("raw"), Some(Value::Bytes(b)) if b == &[0, 255]));
    assert!(matches!(v.get("size"), Some(Value::Size(s)) if s == &[2, 3]));
    assert!(matches!(v.get("dtype"), Some(Value::DType(DType::F16))));
    assert!(matches!(v.get("device"), Some(Value::Device(d)) if d == "cuda:1"));
    let names: Vec<String> = v.get("nested").unwrap().tensors().into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["0.step"]);
    let deep = v.get("nested").and_then(|n| n.get("deep")).and_then(|d| d.get("er")).and_then(Value::elements).unwrap();
    assert!(matches!(&deep[1], Value::Tuple(t) if matches!(&t[..], [Value::Int(2), Value::Str(x)] if x == "x")));
}

#[test]
fn what_pytorch_wrote_is_read() {
    for name in ["values.pt", "values_legacy.pt", "values_protocol4.pt"] {
        check_values(&read(&golden(name), &cpu()).unwrap_or_else(|e| panic!("{name}: {e}")));
    }
}

#[test]
fn what_was_read_is_written_and_read_again() {
    let bytes = write(&read(&golden("values.pt"), &cpu()).unwrap()).unwrap();
    let back = read(&bytes, &cpu()).unwrap();
    // Different views of one storage were copied; the rest is as it was.
    let tied = back.get("tied").and_then(Value::elements).unwrap();
    assert!(tied[0].as_tensor().unwrap().same_view(tied[1].as_tensor().unwrap()).unwrap());
    let names = |v: &Value| v.tensors().into_iter().map(|(n, t)| (n, t.to_bytes().unwrap())).collect::<Vec<_>>();
    assert_eq!(names(&read(&golden("values.pt"), &cpu()).unwrap()), names(&back));
    assert_eq!(inspect(&bytes).unwrap().len(), names(&back).len());
}

#[test]
fn every_type_comes_back_as_it_went_at_multiples_of_64() {
    let mut state = StateDict::new();
    for dtype in DType::ALL {
        let t = Tensor::from_vec(vec![0.0f32, 1.0, 1.0, 0.0, 1.0, 1.0], [2, 3], &cpu()).unwrap();
        state.insert(format!("a.{dtype}"), t.to_dtype(dtype).unwrap().t().unwrap());
    }
    state.insert("scalar".into(), Tensor::full([], 3i64, &cpu()).unwrap());
    state.insert("empty".into(), Tensor::zeros([0, 4], &cpu()).unwrap());
    let bytes = write_state_dict(&state).unwrap();
    let back = state_dict(&bytes, &cpu()).unwrap();
    assert!(state.keys().eq(back.keys()));
    for (name, t) in &state {
        assert_eq!((t.dtype(), t.shape()), (back[name].dtype(), back[name].shape()), "{name}");
        assert_eq!(t.to_bytes().unwrap(), back[name].to_bytes().unwrap(), "{name}");
    }
    let zip = rawzip::ZipArchive::from_slice(&bytes[..]).unwrap();
    for entry in zip.entries() {
        let entry = zip.get_entry(entry.unwrap().wayfinder()).unwrap();
        assert_eq!(entry.compressed_data_range().0 % 64, 0);
    }
}

#[test]
fn a_state_dict_is_found_in_a_checkpoint() {
    let keys = ["0.bias", "0.weight", "1.bias", "1.num_batches_tracked", "1.running_mean", "1.running_var", "1.weight"];
    for name in ["model.pth", "checkpoint.pth"] {
        let state = state_dict(&golden(name), &cpu()).unwrap();
        assert!(state.keys().eq(keys.iter()), "{name}");
        assert_eq!(state["0.weight"].to_vec::<f32>().unwrap(), [0.5; 6]);
    }
    let why = state_dict(&golden("values.pt"), &cpu()).map(|s| s.len());
    assert_eq!(why.unwrap(), 12);
    let none = write(&Value::Dict(vec![(Value::Str("epoch".into()), Value::Int(1))])).unwrap();
    let why = state_dict(&none, &cpu()).unwrap_err().to_string();
    assert!(why.contains(r#"dict {Str("epoch"): int}"#), "{why}");
}

#[test]
fn a_whole_model_is_refused_by_name() {
    let why = read(&golden("whole_model.pth"), &cpu()).unwrap_err().to_string();
    assert!(why.contains("refuses 'torch.nn.modules.container.Sequential'") && why.contains("state_dict()"), "{why}");
}

/// A zip file with this pickle and a storage of 4 floats.
fn pickled(code: &[u8]) -> Vec<u8> {
    let mut archive = crate::archive::ArchiveWriter::new(FORMAT);
    archive.store("x/data.pkl", code, 64).unwrap();
    archive.store("x/data/0", &[0; 16], 64).unwrap();
    archive.finish().unwrap()
}

#[test]
fn nothing_is_executed() {
    for (code, what) in [
        (&b"cos\nsystem\n(X\x02\0\0\0lstR."[..], "refuses 'os.system'"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R.", "refuses 'builtins.eval'"),
        (b"\x80\x02ctorch\nload\n.", "refuses 'torch.load'"),
        (b"\x80\x02ccollections\nOrderedDict\n)\x81.", "NEWOBJ"),
        (b"(ios\nsystem\n.", "INST"),
        (b"\x80\x02ccollections\nOrderedDict\n.", "where a value is expected"),
        (b"\x80\x02K\x01)R.", "a call of what is no name"),
        (b"\x80\x02K\x01}b.", "neither dictionary nor tensor"),
        (b"\x80\x09N.", "protocol 9"),
        (b"\x80\x02]q\x00h\x00a.", "contains itself"),
        (b"\x80\x02h\x05.", "memo 5"),
        (b"\x80\x02t.", "no mark"),
        (b"\x80\x02(0.", "more from its stack"),
        (b"\x80\x02X\xff\xff\xff\xffab.", "ends in the middle"),
        (b"\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\x01.", "more than 64 bits"),
        (b"\x80\x02N", "ends in the middle"),
    ] {
        let why = read(&pickled(code), &cpu()).unwrap_err().to_string();
        assert!(why.contains(what), "{what}: {why}");
    }
}

/// A tensor over storage 0, which has 4 floats, with this offset, shape and strides (as pickled).
fn made(offset: &[u8], shape: &[u8], strides: &[u8]) -> Vec<u8> {
    let mut code =
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuK\x04tQ"
            .to_vec();
    code.extend([offset, shape, strides].concat());
    code.extend(b"\x89ccollections\nOrderedDict\n)RtR.");
    pickled(&code)
}

#[test]
fn tensors_stay_within_their_storage() {
    let ok = read(&made(b"K\x01", b"K\x02K\x02\x86", b"K\x01K\x01\x86"), &cpu()).unwrap();
    assert_eq!(ok.as_tensor().unwrap().shape(), [2, 2]);
    let big = b"\x8a\x08\0\0\0\0\0\0\0\x40";
    let huge = [&b"("[..], big, big, b"t"].concat();
    for (bytes, what) in [
        (made(b"K\x00", b"K\x05\x85", b"K\x01\x85"), "elements 0 to 4"),
        (made(b"K\x04", b"K\x01\x85", b"K\x01\x85"), "elements 4 to 4"),
        (made(big, b"K\x01\x85", b"K\x01\x85"), "elements"),
        (made(b"J\xff\xff\xff\xff", b"K\x01\x85", b"K\x01\x85"), "offset"),
        (made(b"K\x00", b"J\xff\xff\xff\xff\x85", b"K\x01\x85"), "a size or stride of -1"),
        (made(b"K\x00", b"K\x01\x85", b")"), "1 sizes and 0 strides"),
        (made(b"K\x00", &huge, b"K\x00K\x00\x86"), "more elements than there can be"),
        (made(b"K\x00", b"J\0\0\0\x20\x85", b"K\x00\x85"), "too much for a file of this size"),
    ] {
        let why = read(&bytes, &cpu()).unwrap_err().to_string();
        assert!(why.contains(what), "{what}: {why}");
    }
}

/// A list of two lists of two lists of ...: 2^64 values in 64 steps.
#[test]
fn values_that_multiply_are_refused() {
    let mut code = b"\x80\x02]".to_vec();
    for _ in 0..64 {
        code.extend(b"q\x00]h\x00ah\x00a");
    }
    code.push(b'.');
    let why = read(&pickled(&code), &cpu()).unwrap_err().to_string();
    assert!(why.contains("too much for a file of this size"), "{why}");
}

/// PyTorch reads what is written here. Runs where `TAPER_PYTHON` (or python3) has torch.
#[test]
fn pytorch_reads_what_is_written() {
    let python = std::env::var("TAPER_PYTHON").unwrap_or_else(|_| "python3".into());
    if !Command::new(&python).args(["-c", "import torch"]).output().is_ok_and(|o| o.status.success()) {
        println!("skipped: {python} has no torch");
        return;
    }
    let path = std::env::temp_dir().join(format!("taper-pt-{}.pt", std::process::id()));
    let value = read(&golden("values.pt"), &cpu()).unwrap();
    std::fs::write(&path, write(&value).unwrap()).unwrap();
    let script = format!(
        "import torch, sys; sys.path.insert(0, '{}/tests/golden')\n{}",
        env!("CARGO_MANIFEST_DIR"),
        include_str!("../../tests/golden/check.py")
    );
    let out = Command::new(&python).args(["-c", &script]).arg(&path).output().unwrap();
    std::fs::remove_file(&path).ok();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}
