//! Networks from text: what they compute, what they are called, and what is refused.

use serde_json::json;

use super::*;
use crate::nn::Linear;
use crate::{Device, Tensor};

/// Building twice from one configuration gives two equal networks: nothing is taken out of it.
#[test]
fn a_configuration_is_not_used_up() -> Result<()> {
    let (registry, cpu) = (Registry::new(), Device::cpu());
    let config = json!({
        "type": "Sequential",
        "layers": [{"type": "Conv2d", "in_channels": 1, "out_channels": 4, "kernel_size": 3, "padding": "same"},
                   {"type": "BatchNorm2d", "num_features": 4}, "ReLU", {"type": "AdaptiveAvgPool2d", "output_size": 1}, "Flatten",
                   {"type": "Linear", "in_features": 4, "out_features": 2, "name": "head"}],
    });
    let before = config.clone();
    let (a, b) = (registry.build(&config, &cpu)?, registry.build(&config, &cpu)?);
    assert_eq!(config, before);
    let names = |m: &dyn Layer| m.state_dict().into_keys().collect::<Vec<_>>();
    assert_eq!(names(&*a), names(&*b));
    assert!(names(&*a).contains(&"head.weight".to_string()) && names(&*a).contains(&"1.running_var".to_string()));
    assert_eq!(a.forward(&Tensor::ones([3, 1, 5, 5], &cpu)?)?.shape(), [3, 2]);
    Ok(())
}

/// A block is a layer of one's own, of which a use may change arguments; repeated, each copy has weights of its own.
#[test]
fn blocks_are_inherited_and_overridden() -> Result<()> {
    let (registry, cpu) = (Registry::new(), Device::cpu());
    let text = r#"
        type = "Sequential"
        layers = [{ type = "Wide", repeat = 2 }, { type = "Wide", bias = true }, { type = "Deep", residual = true }]

        [blocks.Wide]
        type = "Square"
        bias = false

        [blocks.Square]
        type = "Linear"
        in_features = 3
        out_features = 3

        [blocks.Deep]
        type = "Sequential"
        layers = ["Square", "Tanh"]
    "#;
    let model = registry.build_toml(text, &cpu)?;
    let params = model.named_parameters();
    let names: Vec<&str> = params.iter().map(|(n, _)| n.as_str()).collect();
    assert_eq!(names, ["0.0.weight", "0.1.weight", "1.weight", "1.bias", "2.0.weight", "2.0.bias"]);
    assert_ne!(params[0].1.to_vec::<f32>()?, params[1].1.to_vec::<f32>()?);
    // The last layer adds its input.
    params.iter().skip(4).try_for_each(|(_, p)| p.set(&p.detach()?.zeros_like()?))?;
    let x = Tensor::ones([1, 3], &cpu)?;
    let linear = |x: &Tensor, w: usize, b: Option<usize>| x.linear(&params[w].1, b.map(|b| &*params[b].1));
    let want = linear(&linear(&linear(&x, 0, None)?, 1, None)?, 2, Some(3))?;
    assert_eq!(model.forward(&x)?.to_vec::<f32>()?, want.to_vec::<f32>()?);
    Ok(())
}

#[test]
fn what_a_layer_does_not_know_is_refused() {
    let (mut registry, cpu) = (Registry::new(), Device::cpu());
    let error = |registry: &Registry, text: &str| match registry.build_json(text, &cpu) {
        Ok(_) => panic!("{text} was accepted"),
        Err(e) => e.to_string(),
    };
    for (text, names) in [
        (r#""Relu""#, "there is no layer 'Relu'"),
        (r#"{"in_features": 1}"#, "needs a type"),
        (r#"{"type": "Linear", "in_features": 1}"#, "out_features is missing"),
        (r#"{"type": "Linear", "in_features": 1, "out_features": -1}"#, "out_features cannot be -1"),
        (r#"{"type": "Linear", "in_features": 1, "out_features": 1, "biases": true}"#, "no argument biases"),
        (r#"{"type": "Conv2d", "in_channels": 1, "out_channels": 1, "kernel_size": [1, 2, 3]}"#, "kernel_size cannot be [1,2,3]"),
        (r#"{"type": "Sequential"}"#, "layers is missing"),
        (r#"{"type": "A", "blocks": {"A": {"type": "B"}, "B": {"type": "A"}}}"#, "contains itself"),
        (r#"{"type": "A", "blocks": {"A": {"type": "Sequential", "layers": ["A"]}}}"#, "nested"),
        (r#"{"type": "GELU", "approximate": "erf"}"#, "cannot be 'erf'"),
        ("{", "EOF"),
    ] {
        let found = error(&registry, text);
        assert!(found.contains(names), "{text}: {found}");
    }
    assert!(registry.build_toml("type = ", &cpu).is_err());
    registry.register("Relu", |_, _| Ok(Box::new(crate::nn::ReLU)));
    assert!(registry.build_json(r#""Relu""#, &cpu).is_ok() && registry.names().contains(&"Relu"));
    // A residual layer that changes the shape would broadcast.
    let narrow = registry.build_json(r#"{"type": "Linear", "in_features": 3, "out_features": 1, "residual": true}"#, &cpu);
    assert!(narrow.and_then(|m| m.forward(&Tensor::ones([2, 3], &cpu)?)).is_err());
}

/// Layers that are registered take the arguments they name, and make what the constructor makes.
#[test]
fn every_name_builds_with_its_defaults() -> Result<()> {
    let (registry, cpu) = (Registry::new(), Device::cpu());
    let needed = json!({
        "in_features": 4, "out_features": 4, "num_embeddings": 4, "embedding_dim": 4, "normalized_shape": 4, "num_groups": 2,
        "num_channels": 4, "num_features": 4, "in_channels": 4, "out_channels": 4, "kernel_size": 1, "output_size": 1, "d_model": 4,
        "nhead": 2, "num_layers": 1, "unflattened_size": [2, 2], "upscale_factor": 2, "downscale_factor": 2, "groups": 2, "size": 2,
    });
    for name in registry.names() {
        // Only what the layer asks for: what is too much is named in the error, one round at a time.
        let mut config = needed.clone();
        let object = config.as_object_mut().ok_or_else(|| Error::argument(OP, "no object"))?;
        object.insert("type".into(), name.into());
        let built = match registry.build(&config, &cpu) {
            Err(e) if e.to_string().contains("has no argument") => {
                let text = e.to_string();
                let extra = text.split("has no argument ").nth(1).and_then(|t| t.split(", only").next()).unwrap_or_default();
                for key in extra.split(", ") {
                    if let Some(o) = config.as_object_mut() {
                        o.remove(key);
                    }
                }
                registry.build(&config, &cpu)
            }
            other => other,
        };
        assert!(built.is_ok(), "{name}: {:?}", built.err());
    }
    let linear = registry.build_json(r#"{"type": "Linear", "in_features": 4, "out_features": 3}"#, &cpu)?;
    assert_eq!(linear.num_parameters(), Linear::new(4, 3, &cpu)?.num_parameters());
    Ok(())
}

/// Neither one number nor lists of blocks of lists make a network without end.
#[test]
fn networks_have_a_largest_size() {
    let (registry, cpu) = (Registry::new(), Device::cpu());
    let refused = |config: Value| registry.build(&config, &cpu).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(refused(json!({"type": "ReLU", "repeat": 1u64 << 60})).contains("layers"));
    let blocks: Map<String, Value> = (0..40)
        .map(|i| (format!("B{i}"), json!({"type": "Sequential", "layers": [format!("B{}", i + 1), format!("B{}", i + 1)]})))
        .chain([("B40".to_string(), json!("ReLU"))])
        .collect();
    assert!(refused(json!({"type": "B0", "blocks": blocks})).contains("layers"));
}
