//! Checks that every text composed in a test would run everywhere: it validates, translates for Vulkan, Metal and
//! DX12, and keeps to the limits that WebGPU guarantees.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex};

use naga::back;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ValidationFlags, Validator};

/// Texts that were found good.
static SEEN: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Default::default);

/// Panics with the text when something is wrong with it.
#[track_caller]
pub(super) fn check(label: &str, wgsl: &str) {
    if SEEN.lock().unwrap().contains(wgsl) {
        return;
    }
    if let Err(e) = check_wgsl(wgsl) {
        let numbered: String = wgsl.lines().enumerate().map(|(i, l)| format!("{:4} {l}\n", i + 1)).collect();
        panic!("{label}: {e}\n{numbered}");
    }
    SEEN.lock().unwrap().insert(wgsl.to_string());
}

fn check_wgsl(wgsl: &str) -> Result<(), String> {
    let module = naga::front::wgsl::parse_str(wgsl).map_err(|e| e.emit_to_string(wgsl))?;
    // What a browser without extensions takes: naga counts the unpacking of f16 as a capability.
    let mut capabilities = Capabilities::SHADER_FLOAT16_IN_FLOAT32;
    // Kernels that use subgroups are chosen only where the adapter has them.
    if wgsl.contains("subgroup_id") {
        capabilities |= Capabilities::SUBGROUP;
    }
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .subgroup_stages(naga::valid::ShaderStages::COMPUTE)
        .subgroup_operations(naga::valid::SubgroupOperationSet::all())
        .validate(&module)
        .map_err(|e| e.emit_to_string(wgsl))?;
    limits(&module, wgsl)?;

    let stage = naga::ShaderStage::Compute;
    let entry = (stage, "main");
    let (module, info) =
        back::pipeline_constants::process_overrides(&module, &info, Some(entry), &Default::default()).map_err(|e| format!("{e:?}"))?;
    let policy = BoundsCheckPolicy::Unchecked;
    let policies = BoundsCheckPolicies { index: policy, buffer: policy, image_load: policy, binding_array: policy };

    let spv =
        back::spv::Options { lang_version: (1, 3), bounds_check_policies: policies, force_loop_bounding: false, ..Default::default() };
    let pipeline = back::spv::PipelineOptions { shader_stage: stage, entry_point: "main".into() };
    back::spv::write_vec(&module, &info, &spv, Some(&pipeline)).map_err(|e| format!("SPIR-V: {e}"))?;

    let msl = back::msl::Options {
        lang_version: (2, 4),
        fake_missing_bindings: true,
        bounds_check_policies: policies,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = back::msl::PipelineOptions { entry_point: Some((stage, "main".into())), ..Default::default() };
    let (_, translated) = back::msl::write_string(&module, &info, &msl, &pipeline).map_err(|e| format!("MSL: {e}"))?;
    for name in translated.entry_point_names {
        name.map_err(|e| format!("MSL: {e}"))?;
    }

    let hlsl = back::hlsl::Options {
        shader_model: back::hlsl::ShaderModel::V6_0,
        fake_missing_bindings: true,
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: false,
        ..Default::default()
    };
    let pipeline = back::hlsl::PipelineOptions { entry_point: Some((stage, "main".into())) };
    let mut text = String::new();
    back::hlsl::Writer::new(&mut text, &hlsl, &pipeline).write(&module, &info, None).map_err(|e| format!("HLSL: {e}"))?;
    Ok(())
}

/// WebGPU's default limits. naga and wgpu do not check workgroup memory.
fn limits(module: &naga::Module, wgsl: &str) -> Result<(), String> {
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| e.to_string())?;
    let workgroup: u32 = module
        .global_variables
        .iter()
        .filter(|(_, g)| g.space == naga::AddressSpace::WorkGroup)
        .map(|(_, g)| layouter[g.ty].to_stride())
        .sum();
    let storage = module.global_variables.iter().filter(|(_, g)| matches!(g.space, naga::AddressSpace::Storage { .. })).count();
    if workgroup > 16 << 10 {
        return Err(format!("{workgroup} bytes of workgroup memory"));
    }
    if storage > 8 {
        return Err(format!("{storage} storage buffers"));
    }
    let [entry] = &module.entry_points[..] else { return Err(format!("{} entry points", module.entry_points.len())) };
    let [x, y, z] = entry.workgroup_size;
    if x * y * z > 256 || x > 256 || y > 256 || z > 64 {
        return Err(format!("a workgroup of {x} x {y} x {z}"));
    }
    if wgsl.contains("enable ") {
        return Err("an extension".into());
    }
    Ok(())
}
