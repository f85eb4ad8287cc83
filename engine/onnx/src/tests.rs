//! Whole models, made here message by message.

use prost::Message;
use taper::{DType, Device, Error, Result, Tensor};

use crate::proto;
use crate::{Elem, Model, Narrow, Value};

/// A node; attributes are added to it.
fn node(op: &str, inputs: &[&str], outputs: &[&str]) -> proto::Node {
    let names = |list: &[&str]| list.iter().map(|s| s.to_string()).collect();
    proto::Node { op_type: op.into(), input: names(inputs), output: names(outputs), ..Default::default() }
}

impl proto::Node {
    fn with(mut self, name: &str, value: proto::Attribute) -> Self {
        self.attribute.push(proto::Attribute { name: name.into(), ..value });
        self
    }
    fn int(self, name: &str, i: i64) -> Self {
        self.with(name, proto::Attribute { kind: 2, i: Some(i), ..Default::default() })
    }
    fn graph(self, name: &str, g: proto::Graph) -> Self {
        self.with(name, proto::Attribute { kind: 5, g: Some(Box::new(g)), ..Default::default() })
    }
}

fn ints(name: &str, dims: &[i64], values: &[i64]) -> proto::Tensor {
    proto::Tensor { name: name.into(), dims: dims.into(), data_type: 7, int64_data: values.into(), ..Default::default() }
}

fn floats(name: &str, dims: &[i64], values: &[f32]) -> proto::Tensor {
    proto::Tensor { name: name.into(), dims: dims.into(), data_type: 1, float_data: values.into(), ..Default::default() }
}

fn port(name: &str) -> proto::ValueInfo {
    proto::ValueInfo { name: name.into(), r#type: None }
}

fn graph(inputs: &[&str], outputs: &[&str], nodes: Vec<proto::Node>, initializer: Vec<proto::Tensor>) -> proto::Graph {
    let ports = |names: &[&str]| names.iter().map(|n| port(n)).collect();
    proto::Graph { node: nodes, input: ports(inputs), output: ports(outputs), initializer, ..Default::default() }
}

fn opset(domain: &str, version: i64) -> proto::OperatorSet {
    proto::OperatorSet { domain: domain.into(), version }
}

fn model(graph: proto::Graph) -> proto::Model {
    proto::Model { graph: Some(graph), opset_import: vec![opset("", 18), opset("local", 1)], functions: vec![] }
}

fn no_files(path: &str, _: u64, _: Option<u64>) -> Result<Vec<u8>> {
    Err(Error::unsupported("onnx", format!("no file '{path}'")))
}

fn load(model: &proto::Model) -> Result<Model> {
    Model::from_bytes(&model.encode_to_vec(), &no_files)
}

fn run(model: &Model, inputs: &[(&str, &Tensor)]) -> Result<Vec<Value>> {
    let inputs: Vec<(&str, Value)> = inputs.iter().map(|(n, t)| (*n, Value::from(*t))).collect();
    Ok(model.run(&inputs, &Device::cpu())?.into_iter().map(|(_, v)| v).collect())
}

fn read(value: &Value) -> Vec<f32> {
    value.tensor(&Device::cpu()).unwrap().to_vec::<f32>().unwrap()
}

/// `x` as rows of half as many columns, by its own shape.
fn halved() -> proto::Graph {
    let nodes = vec![
        node("Shape", &["x"], &["shape"]),
        node("Gather", &["shape", "last"], &["width"]),
        node("Div", &["width", "two"], &["half"]),
        node("Concat", &["minus", "half"], &["to"]).int("axis", 0),
        node("Reshape", &["x", "to"], &["y"]),
    ];
    graph(&["x"], &["y"], nodes, vec![ints("last", &[1], &[1]), ints("two", &[], &[2]), ints("minus", &[1], &[-1])])
}

#[test]
fn sizes_that_a_model_computes_need_no_device() {
    let cpu = Device::cpu();
    let model = load(&model(halved())).unwrap();
    for (rows, columns) in [(3, 4), (5, 8)] {
        let x = Tensor::ones([rows, columns], &cpu).unwrap().mul(2.0).unwrap();
        let before = cpu.stats().plans_run;
        let y = run(&model, &[("x", &x)]).unwrap().remove(0).tensor(&cpu).unwrap();
        assert_eq!(cpu.stats().plans_run, before, "nothing is computed before it is read");
        assert_eq!(y.shape(), [rows * 2, columns / 2]);
        assert_eq!(y.to_vec::<f32>().unwrap(), vec![2.0; rows * columns]);
    }
}

/// Of sizes that no fold computes; on a GPU the CPU beside it does.
#[test]
fn unusual_sizes_need_no_gpu() {
    let nodes = vec![node("Shape", &["x"], &["s"]), node("CumSum", &["s", "zero"], &["sums"]), node("Expand", &["x", "sums"], &["y"])];
    let model = load(&model(graph(&["x"], &["y"], nodes, vec![ints("zero", &[], &[0])]))).unwrap();
    for (i, adapter) in Device::gpus().iter().enumerate() {
        let gpu = Device::gpu(i).unwrap();
        let x = Tensor::ones([3, 1], &gpu).unwrap();
        let before = gpu.stats().plans_run;
        let y = model.run(&[("x", (&x).into())], &gpu).unwrap().remove(0).1.tensor(&gpu).unwrap();
        assert_eq!((y.shape(), gpu.stats().plans_run), (&[3, 4][..], before), "on {}", adapter.name);
    }
}

/// sum += i, three times, by a count and a condition the host knows.
#[test]
fn a_loop_with_a_known_end_needs_no_device() {
    let cpu = Device::cpu();
    let nodes = vec![
        node("Identity", &["go"], &["again"]),
        node("Cast", &["i"], &["f"]).int("to", 1),
        node("Add", &["sum", "f"], &["more"]),
        node("Mul", &["more", "x"], &["seen"]),
    ];
    let body = graph(&["i", "go", "sum"], &["again", "more", "seen"], nodes, vec![]);
    let g = graph(
        &["x"],
        &["last", "all"],
        vec![node("Loop", &["n", "", "x"], &["last", "all"]).graph("body", body)],
        vec![ints("n", &[], &[3])],
    );
    let model = load(&model(g)).unwrap();
    let x = Tensor::new([1.0, 10.0], &cpu).unwrap();
    let before = cpu.stats().plans_run;
    let out = run(&model, &[("x", &x)]).unwrap();
    assert_eq!(cpu.stats().plans_run, before);
    assert_eq!(read(&out[0]), [4.0, 13.0]);
    assert_eq!(read(&out[1]), [1.0, 100.0, 2.0, 110.0, 4.0, 130.0]);
}

#[test]
fn initialisers_can_be_trained() {
    let cpu = Device::cpu();
    let nodes = vec![node("MatMul", &["x", "w"], &["xw"]), node("Add", &["xw", "b"], &["h"]), node("Relu", &["h"], &["y"])];
    let stored = vec![floats("w", &[2, 2], &[1.0, -1.0, 0.5, 2.0]), floats("b", &[2], &[0.0, 1.0])];
    let model = load(&model(graph(&["x"], &["y"], nodes, stored))).unwrap();
    let parameters = model.initializers(&cpu).unwrap();
    assert_eq!(parameters.iter().map(|(n, _)| n.as_str()).collect::<Vec<_>>(), ["b", "w"]);
    let (b, w) = (parameters[0].1.detach().unwrap(), parameters[1].1.detach().unwrap());
    for p in [&b, &w] {
        p.requires_grad_(true).unwrap();
    }
    let x = Tensor::new([[1.0, 2.0]], &cpu).unwrap();
    let y = run(&model, &[("x", &x), ("w", &w), ("b", &b)]).unwrap().remove(0).tensor(&cpu).unwrap();
    assert_eq!(y.to_vec::<f32>().unwrap(), [2.0, 4.0]);
    y.mul(&y).unwrap().sum_all().unwrap().backward().unwrap();
    // dy = 2 y, all of it through the rectifier.
    assert_eq!(b.grad().unwrap().to_vec::<f32>().unwrap(), [4.0, 8.0]);
    assert_eq!(w.grad().unwrap().to_vec::<f32>().unwrap(), [4.0, 8.0, 8.0, 16.0]);
}

/// A function that passes its attribute on, through another one, to an operator.
fn with_functions() -> proto::Model {
    let refer = |name: &str, to: &str| proto::Attribute { kind: 1, ref_attr_name: to.into(), name: name.into(), ..Default::default() };
    let function = |name: &str, inner: proto::Node| proto::Function {
        name: name.into(),
        domain: "local".into(),
        input: vec!["a".into()],
        output: vec!["b".into()],
        attribute: vec!["slope".into()],
        node: vec![inner],
        opset_import: vec![opset("", 18), opset("local", 1)],
        ..Default::default()
    };
    let call = |name: &str| proto::Node { domain: "local".into(), ..node(name, &["a"], &["b"]) };
    let inner = function("Inner", node("LeakyRelu", &["a"], &["b"]).with("alpha", refer("alpha", "slope")));
    let outer = function("Outer", call("Inner").with("slope", refer("slope", "slope")));
    let main = proto::Node { domain: "local".into(), ..node("Outer", &["x"], &["y"]) };
    let main = main.with("slope", proto::Attribute { kind: 1, f: Some(0.5), ..Default::default() });
    proto::Model { functions: vec![outer, inner], ..model(graph(&["x"], &["y"], vec![main], vec![])) }
}

#[test]
fn functions_see_the_attributes_they_are_called_with() {
    let model = load(&with_functions()).unwrap();
    let x = Tensor::new([-4.0, 4.0], &Device::cpu()).unwrap();
    assert_eq!(read(&run(&model, &[("x", &x)]).unwrap()[0]), [-2.0, 4.0]);
}

#[test]
fn narrow_integers_keep_their_type_while_they_move() {
    // -8, 7, 1, -1: two to a byte, the first one lowest.
    let packed = proto::Tensor { name: "q".into(), dims: vec![4], data_type: 22, raw_data: Some(vec![0x78, 0xF1]), ..Default::default() };
    let nodes = vec![node("Reshape", &["q", "to"], &["r"]), node("DequantizeLinear", &["r", "s"], &["y"])];
    let stored = vec![packed, ints("to", &[2], &[2, 2]), floats("s", &[], &[0.5])];
    let model = load(&model(graph(&[], &["r", "y"], nodes, stored))).unwrap();
    let out = run(&model, &[]).unwrap();
    assert_eq!(out[0].array().unwrap().elem(), Elem::Narrow(Narrow::I4));
    assert_eq!(out[0].array().unwrap().dtype(), DType::I8);
    assert_eq!(read(&out[1]), [-4.0, 3.5, 0.5, -0.5]);
}

#[test]
fn weights_may_lie_in_another_file() {
    let pair = |key: &str, value: &str| proto::StringPair { key: key.into(), value: value.into() };
    let entries = vec![pair("location", "w.bin"), pair("offset", "4"), pair("length", "8")];
    let w = proto::Tensor { name: "w".into(), dims: vec![2], data_type: 1, data_location: 1, external_data: entries, ..Default::default() };
    let bytes = |w: &proto::Tensor| model(graph(&["x"], &["y"], vec![node("Add", &["x", "w"], &["y"])], vec![w.clone()])).encode_to_vec();
    let file = [0.0f32, 1.5, 2.5].map(f32::to_le_bytes).concat();
    let model = Model::from_bytes(&bytes(&w), &|path, offset, length| {
        assert_eq!((path, offset, length), ("w.bin", 4, Some(8)));
        Ok(file[4..12].to_vec())
    })
    .unwrap();
    let x = Tensor::zeros([2], &Device::cpu()).unwrap();
    assert_eq!(read(&run(&model, &[("x", &x)]).unwrap()[0]), [1.5, 2.5]);
    for outside in ["/etc/passwd", "../w.bin", "a/../../w.bin", "C:\\w.bin"] {
        let mut w = w.clone();
        w.external_data[0].value = outside.into();
        let error = Model::from_bytes(&bytes(&w), &|_, _, _| Ok(vec![0; 8])).unwrap_err().to_string();
        assert!(error.contains("does not lie beside"), "{outside}: {error}");
    }
}

#[test]
fn all_missing_operators_are_named() {
    let nodes = vec![node("Nonsense", &["x"], &["a"]), node("Folly", &["a"], &["y"])];
    let error = load(&model(graph(&["x"], &["y"], nodes, vec![]))).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }));
    assert!(error.to_string().contains("Folly") && error.to_string().contains("Nonsense"), "{error}");
    let newer = proto::Model { opset_import: vec![opset("", 29)], ..model(halved()) };
    assert!(load(&newer).unwrap_err().to_string().contains("opset 29 is newer than 28"));
}

#[test]
fn an_error_names_the_node_and_the_operator() {
    let broken = proto::Node { name: "middle".into(), ..node("Softmax", &["x"], &["y"]).int("axis", 7) };
    let model = load(&model(graph(&["x"], &["y"], vec![broken], vec![]))).unwrap();
    let x = Tensor::zeros([2, 2], &Device::cpu()).unwrap();
    let error = run(&model, &[("x", &x)]).unwrap_err().to_string();
    assert!(error.contains("'middle' (Softmax)") && error.contains("axis 7"), "{error}");
    assert!(run(&model, &[]).unwrap_err().to_string().contains("'x' is missing"));
    assert!(run(&model, &[("z", &x)]).unwrap_err().to_string().contains("no input 'z'"));
}

/// Each yields an error, and nothing else: no panic, no endless recursion, no memory that the file does not warrant.
#[test]
fn hostile_models_are_refused() {
    let refused = |what: &str, bytes: &[u8]| {
        let error = Model::from_bytes(bytes, &no_files).expect_err(what).to_string();
        assert!(error.starts_with("onnx: "), "{what}: {error}");
    };
    let graph_of = |nodes| model(graph(&["x"], &["y"], nodes, vec![])).encode_to_vec();
    let of_tensor = |t: proto::Tensor| model(graph(&[], &[], vec![], vec![t])).encode_to_vec();
    let whole = model(halved()).encode_to_vec();
    for end in 1..whole.len() {
        // Some ends are ends of fields; what is left then has no graph, or one that makes nothing.
        if let Err(e) = Model::from_bytes(&whole[..end], &no_files) {
            assert!(e.to_string().starts_with("onnx: "), "{e}");
        }
    }
    refused("nothing", &[]);
    refused("a name that nothing makes", &graph_of(vec![node("Relu", &["z"], &["y"])]));
    refused("a cycle", &graph_of(vec![node("Relu", &["b"], &["a"]), node("Relu", &["a"], &["b"]), node("Add", &["a", "b"], &["y"])]));
    refused("a name made twice", &graph_of(vec![node("Relu", &["x"], &["y"]), node("Relu", &["x"], &["y"])]));
    refused("an absurd shape", &of_tensor(floats("w", &[1 << 40, 1 << 40], &[])));
    refused("a negative size", &of_tensor(floats("w", &[-1], &[])));
    refused("a shape without its data", &of_tensor(floats("w", &[1 << 30], &[1.0])));
    refused("no element type", &of_tensor(proto::Tensor { data_type: 99, ..floats("w", &[1], &[1.0]) }));
    refused("a bool that is 7", &of_tensor(proto::Tensor { data_type: 9, raw_data: Some(vec![7]), dims: vec![1], ..Default::default() }));
    let sparse = proto::SparseTensor { values: Some(floats("w", &[1], &[1.0])), indices: Some(ints("", &[1], &[0])), dims: vec![1 << 40] };
    let g = proto::Graph { sparse_initializer: vec![sparse], ..graph(&[], &[], vec![], vec![]) };
    refused("a sparse tensor that is huge when dense", &model(g).encode_to_vec());
    let mut deep = graph(&[], &[], vec![], vec![]);
    for _ in 0..200 {
        deep = graph(&[], &[], vec![node("If", &["c"], &["y"]).graph("then_branch", deep)], vec![]);
    }
    refused("graphs in graphs", &model(deep).encode_to_vec());
    let mut recursive = with_functions();
    recursive.functions[1].node = vec![proto::Node { domain: "local".into(), ..node("Outer", &["a"], &["b"]) }];
    refused("functions that call each other", &recursive.encode_to_vec());
    // Four million empty attributes, two bytes each.
    let node = [&[0x0Au8, 0x80, 0x80, 0x80, 0x04][..], &[0x2A, 0].repeat(4 << 20)].concat();
    let length = node.len() as u32;
    let varint: Vec<u8> = (0..4).map(|i| (length >> (7 * i)) as u8 & 0x7F | if i < 3 { 0x80 } else { 0 }).collect();
    refused("a small file of many messages", &[&[0x3A][..], &varint, &node].concat());
}
