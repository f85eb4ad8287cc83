use super::*;

fn cpu() -> Device {
    Device::cpu()
}

/// A file with this header text and data.
fn file(version: u8, text: &str, data: &[u8]) -> Vec<u8> {
    let mut out = b"\x93NUMPY".to_vec();
    out.extend([version, 0]);
    match version {
        1 => out.extend((text.len() as u16).to_le_bytes()),
        _ => out.extend((text.len() as u32).to_le_bytes()),
    }
    out.extend(text.as_bytes());
    out.extend(data);
    out
}

#[test]
fn every_type_and_shape_comes_back_as_it_went() {
    for dtype in DType::ALL {
        for shape in [&[][..], &[6], &[2, 3], &[1, 2, 1, 3], &[0], &[4, 0, 2]] {
            let n: usize = shape.iter().product();
            let values: Vec<f32> = (0..n).map(|i| (i % 2) as f32).collect();
            let x = Tensor::from_vec(values, shape, &cpu()).unwrap().to_dtype(dtype).unwrap();
            let bytes = write(&x).unwrap();
            assert_eq!((bytes.len() - n * dtype.size()) % 64, 0);
            let back = read(&bytes, &cpu()).unwrap();
            assert_eq!((back.dtype(), back.shape()), (dtype, shape));
            assert_eq!(back.to_bytes().unwrap(), x.to_bytes().unwrap(), "{dtype} {shape:?}");
            let entry = inspect("x", &bytes).unwrap();
            assert_eq!((entry.dtype, &entry.shape[..], entry.bytes), (Some(dtype), shape, (n * dtype.size()) as u64));
        }
    }
}

#[test]
fn the_text_is_numpys() {
    let head = |shape: &[usize]| {
        let bytes = write(&Tensor::zeros(shape, &cpu()).unwrap()).unwrap();
        String::from_utf8(bytes[10..70].to_vec()).unwrap().trim_end().to_string()
    };
    assert_eq!(head(&[]), "{'descr': '<f4', 'fortran_order': False, 'shape': (), }");
    assert_eq!(head(&[0]), "{'descr': '<f4', 'fortran_order': False, 'shape': (0,), }");
    assert_eq!(head(&[0, 3]), "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 3), }");
}

#[test]
fn versions_byte_orders_and_fortran_order_are_read() {
    let big: Vec<u8> = (1..=6i32).flat_map(i32::to_be_bytes).collect();
    let little: Vec<u8> = (1..=6i32).flat_map(i32::to_le_bytes).collect();
    for version in 1..=3 {
        for (descr, data) in [(">i4", &big), ("<i4", &little)] {
            let text = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 3), }}   \n");
            let x = read(&file(version, &text, data), &cpu()).unwrap();
            assert_eq!(x.to_vec::<i32>().unwrap(), [1, 2, 3, 4, 5, 6]);
            // Python 2's long integers, another order of keys, double quotes.
            let text = format!("{{\"shape\": (2L, 3L), 'fortran_order': True, 'descr': '{descr}'}}");
            let x = read(&file(version, &text, data), &cpu()).unwrap();
            assert_eq!((x.shape(), x.to_vec::<i32>().unwrap()), (&[2, 3][..], vec![1, 3, 5, 2, 4, 6]));
        }
    }
    let f64s: Vec<u8> = [0.1f64, -2.5].iter().flat_map(|v| v.to_be_bytes()).collect();
    let x = read(&file(1, "{'descr': '>f8', 'fortran_order': False, 'shape': (2,), }\n", &f64s), &cpu()).unwrap();
    assert_eq!(x.to_vec::<f64>().unwrap(), [0.1, -2.5]);
}

#[test]
fn what_is_no_array_of_numbers_says_so() {
    let text = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n");
    for (bytes, what) in [
        (file(1, &text("'|O'", "(1,)"), &[0; 8]), "'|O'"),
        (file(1, &text("'<c8'", "(1,)"), &[0; 8]), "'<c8'"),
        (file(1, &text("[('a', '<f4')]", "(1,)"), &[0; 4]), "records"),
        (file(1, &text("'<f4'", "(2,)"), &[0; 4]), "8 bytes, the file has 4"),
        (file(1, &text("'<f4'", "(2,)"), &[0; 12]), "8 bytes, the file has 12"),
        (file(1, &text("'<f4'", "(4294967296, 4294967296)"), &[]), "more elements"),
        (file(1, &text("'<f4'", "(99999999999999999999,)"), &[]), "no number"),
        (file(1, &text("'<f4'", "(0, 4294967296, 4294967296)"), &[]), "more elements"),
        (file(1, &text("'<f4'", "(-1,)"), &[]), "no number"),
        (file(1, "{'descr': '<f4', 'shape': (1,), }", &[0; 4]), "fortran_order"),
        (file(1, "{'descr': '<f4', 'descr': '<f4', }", &[0; 4]), "twice"),
        (file(4, "{}", &[]), "version 4"),
        (file(1, &text("'|b1'", "(1,)"), &[2]), "bool"),
        (b"PK".to_vec(), "no .npy"),
    ] {
        let why = read(&bytes, &cpu()).unwrap_err().to_string();
        assert!(why.contains(what), "{what}: {why}");
    }
}

#[test]
fn what_numpy_wrote_is_read() {
    let golden = |name: &str| std::fs::read(format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let x = read(&golden("fortran.npy"), &cpu()).unwrap();
    assert_eq!((x.shape(), x.to_vec::<f64>().unwrap()), (&[2, 3][..], vec![0., 1., 2., 3., 4., 5.]));
    let x = read(&golden("version3.npy"), &cpu()).unwrap();
    assert_eq!((x.shape(), x.to_vec::<i16>().unwrap()), (&[2, 3][..], vec![0, 1, 2, 3, 4, 5]));
    for name in ["arrays.npz", "arrays_deflated.npz"] {
        let all = crate::npz::read(&golden(name), &cpu()).unwrap();
        assert_eq!(all["a"].to_vec::<u32>().unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!((all["b"].shape(), all["b"].to_vec::<half::f16>().unwrap()[0].to_f32()), (&[][..], 1.5));
        assert_eq!((all["c"].dtype(), all["c"].shape()), (DType::Bool, &[0, 2][..]));
        assert_eq!(all["d.e"].to_vec::<i64>().unwrap(), [0, 1, 2, 3, 4, 5]);
        assert_eq!(all.len(), 4);
    }
}
