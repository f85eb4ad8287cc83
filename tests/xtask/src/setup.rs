//! What the checks need from the machine: found, installed where that is possible, or named.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use crate::command::{cargo, command, output_of, root, run};

const WASM: &str = "wasm32-unknown-unknown";
/// Chromium's software Vulkan driver, where Debian puts it.
const SWIFTSHADER: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";

/// Formatter and linter: a minimal Rust installation lacks them.
pub fn components() -> Result<(), String> {
    for component in ["rustfmt", "clippy"] {
        let probe = if component == "rustfmt" { "fmt --version" } else { "clippy --version" };
        if output_of(cargo(probe)).is_none() {
            println!("installing {component}");
            run(command("rustup", ["component", "add", component])).map_err(|e| format!("{component} is missing, and {e}"))?;
        }
    }
    Ok(())
}

/// The test runner.
pub fn nextest() -> Result<(), String> {
    if output_of(cargo("nextest --version")).is_some() {
        return Ok(());
    }
    println!("installing cargo-nextest (some minutes, once)");
    run(cargo("install cargo-nextest --locked")).map_err(|e| format!("cargo-nextest is missing, and {e}"))
}

/// A Rust that can build for wasm32.
#[derive(Debug, Clone, Copy)]
pub enum Wasm {
    /// The standard library comes prebuilt with the toolchain in use.
    Prebuilt,
    /// Debian's `rustc-web`, which builds the standard library along.
    Debian,
}

impl Wasm {
    /// Finds or installs one: through rustup, else from Debian.
    pub fn find() -> Result<Self, String> {
        if has_wasm_library() {
            return Ok(Wasm::Prebuilt);
        }
        println!("installing the {WASM} target");
        let refused = match run(command("rustup", ["target", "add", WASM])) {
            Ok(()) if has_wasm_library() => return Ok(Wasm::Prebuilt),
            Ok(()) => "rustup added the target to another toolchain than the one in use".to_owned(),
            Err(refused) => refused,
        };
        // The library's sources are what tells rustc-web from Debian's ordinary, older rustc.
        let sources = output_of(command("/usr/bin/rustc", ["--print", "sysroot"]))
            .is_some_and(|sysroot| Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/std").exists());
        let packages = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];
        if !sources || !Path::new("/usr/bin/cargo").exists() {
            install_from_debian(&packages).map_err(|e| format!("no Rust for {WASM}: {refused}; {e}"))?;
        }
        println!("rustup has no {WASM}; using Debian's rustc-web");
        Ok(Wasm::Debian)
    }

    /// The Cargo that builds for wasm32, with `args` split at blanks.
    pub fn cargo(self, args: &str) -> Command {
        let mut command = match self {
            Wasm::Prebuilt => cargo(args),
            Wasm::Debian => command("/usr/bin/cargo", args.split_whitespace()),
        };
        if let Wasm::Debian = self {
            command.args(["-Z", "build-std=std,panic_abort"]);
            command.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
        }
        command.args(["--target", WASM]);
        command
    }
}

fn has_wasm_library() -> bool {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    output_of(command(rustc, ["--print", "target-libdir", "--target", WASM])).is_some_and(|directory| Path::new(directory.trim()).is_dir())
}

/// The GPU drivers of the machine, as far as files tell; the tests open the adapters themselves.
#[derive(Debug)]
pub struct Gpus {
    /// What the system's Vulkan loader will find, or why there is nothing to find.
    pub vulkan: Result<String, String>,
    /// The same for SwiftShader, a second and very different software driver.
    pub swiftshader: Result<String, String>,
    /// What programs that look for GPUs must have in their environment.
    pub environment: Vec<(&'static str, PathBuf)>,
}

impl Gpus {
    /// Finds the drivers; installs Mesa's software driver where there is none.
    pub fn find() -> Self {
        let mut environment = Vec::new();
        let vulkan = find_vulkan();
        let (chosen, swiftshader) = (chosen_drivers(), Path::new(SWIFTSHADER));
        let swiftshader = if cfg!(not(target_os = "linux")) {
            Err("looked for on Linux only".to_owned())
        } else if let Some(name) = chosen {
            Err(format!("{name} is set and chooses the drivers"))
        } else if !swiftshader.exists() {
            Err("not installed (on Debian it comes with chromium)".to_owned())
        } else if env::var_os("VK_ADD_DRIVER_FILES").is_some() {
            Ok("VK_ADD_DRIVER_FILES is set already and left as it is".to_owned())
        } else {
            environment.push(("VK_ADD_DRIVER_FILES", swiftshader.to_owned()));
            Ok("beside the system's drivers".to_owned())
        };
        if cfg!(unix) && env::var_os("XDG_RUNTIME_DIR").is_none() {
            // Mesa complains in every process where this is unset.
            let directory = root().join("target/xtask-runtime");
            if std::fs::create_dir_all(&directory).is_ok() {
                environment.push(("XDG_RUNTIME_DIR", directory));
            }
        }
        Gpus { vulkan, swiftshader, environment }
    }
}

fn find_vulkan() -> Result<String, String> {
    if cfg!(not(target_os = "linux")) {
        return Ok("part of the system".to_owned());
    }
    let missing = || {
        let mut missing = Vec::new();
        if vulkan_drivers().is_empty() {
            missing.push("no driver is registered (an icd.d/*.json file)");
        }
        if !has_vulkan_loader() {
            missing.push("no libvulkan.so.1");
        }
        (!missing.is_empty()).then(|| missing.join(", "))
    };
    if let (Some(what), Some(name)) = (missing(), chosen_drivers()) {
        return Err(format!("{what}; {name} is set and chooses the drivers"));
    }
    if let Some(what) = missing() {
        install_from_debian(&["mesa-vulkan-drivers", "libvulkan1"]).map_err(|e| format!("{what}; {e}"))?;
        if let Some(what) = missing() {
            return Err(format!("{what}, even after installing mesa-vulkan-drivers and libvulkan1"));
        }
    }
    let names = vulkan_drivers().iter().filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect::<Vec<_>>();
    Ok(names.join(", "))
}

/// The variable by which somebody has already chosen the drivers: the loader then looks at nothing else.
fn chosen_drivers() -> Option<&'static str> {
    ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"].into_iter().find(|name| env::var_os(name).is_some_and(|value| !value.is_empty()))
}

/// The manifests that the Vulkan loader reads.
fn vulkan_drivers() -> Vec<PathBuf> {
    let list = |name: &str| env::var_os(name).map(|value| env::split_paths(&value).collect::<Vec<_>>()).unwrap_or_default();
    let mut drivers = list("VK_ADD_DRIVER_FILES");
    if let Some(name) = chosen_drivers() {
        drivers = list(name);
    } else {
        let home = |tail: &str| env::var_os("HOME").map(|home| Path::new(&home).join(tail));
        let mut places: Vec<PathBuf> = ["/usr/local/etc", "/etc", "/etc/xdg", "/usr/local/share", "/usr/share"].map(PathBuf::from).into();
        places.extend([home(".config"), home(".local/share")].into_iter().flatten());
        for name in ["XDG_CONFIG_HOME", "XDG_CONFIG_DIRS", "XDG_DATA_HOME", "XDG_DATA_DIRS"] {
            places.extend(list(name));
        }
        places.sort();
        places.dedup();
        for place in places {
            let files = place.join("vulkan/icd.d").read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
            drivers.extend(files.filter(|path| path.extension().is_some_and(|extension| extension == "json")));
        }
    }
    drivers.retain(|path| path.is_file());
    drivers.sort();
    drivers
}

/// Whether the library is there through which every Vulkan program finds its driver.
fn has_vulkan_loader() -> bool {
    let names = ["ldconfig", "/sbin/ldconfig"].into_iter().find_map(|ldconfig| output_of(command(ldconfig, ["-p"])));
    // A system without ldconfig keeps its libraries where only it knows: the tests will see.
    names.is_none_or(|names| names.contains("libvulkan.so.1"))
}

/// Installs Debian packages, or says which ones somebody has to install.
fn install_from_debian(packages: &[&str]) -> Result<(), String> {
    let needed = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if !Path::new("/etc/debian_version").exists() {
        return Err(format!("please install what on Debian is: {needed}"));
    }
    if output_of(command("id", ["-u"])).is_none_or(|user| user.trim() != "0") {
        return Err(format!("please run as root: {needed}"));
    }
    let install = || {
        let mut install = command("apt-get", ["install", "--yes", "--no-install-recommends"]);
        install.args(packages).env("DEBIAN_FRONTEND", "noninteractive");
        install
    };
    println!("{needed}");
    // A fresh machine has no package lists yet, and an old one has outdated ones.
    run(install())
        .or_else(|_| run(command("apt-get", ["update"])).and_then(|()| run(install())))
        .map_err(|e| format!("{e}; needed: {needed}"))
}
