//! What reads Kubernetes' files without a cluster: Kustomize, built from the pinned
//! `tests/real/kubernetes`, and the schemas of what it renders, fetched by the pins beside it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use super::go::{Program, is_newer};
use crate::{skip, wasm};

static KUSTOMIZE: LazyLock<Result<PathBuf, String>> = LazyLock::new(|| {
    Program {
        module: "real/kubernetes",
        package: "sigs.k8s.io/kustomize/kustomize/v5",
    }
    .build()
});

/// Renders a directory. An error of the outer kind is a reason to skip, the inner one is
/// Kustomize's own.
pub fn kustomize(dir: &Path) -> Result<Result<String, String>, String> {
    let binary = KUSTOMIZE.as_deref().map_err(Clone::clone)?;
    let output = Command::new(binary)
        .arg("build")
        .arg(dir)
        .output()
        .map_err(|e| format!("running kustomize: {e}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(match output.status.success() {
        true => Ok(text(&output.stdout)),
        false => Err(text(&output.stderr)),
    })
}

const SCHEMAS: &str =
    "kubernetes_validate/kubernetes-json-schema/v1.37.0-local-strict/_definitions.json";

/// The schemas of Kubernetes 1.37's own kinds, `$defs` of one document, which take no field
/// that they do not know. An error is a reason to skip.
pub fn schemas() -> Result<Value, String> {
    let pins = Path::new(env!("CARGO_MANIFEST_DIR")).join("real/kubernetes/requirements.txt");
    let dir = wasm::target_dir().join("lab-kubernetes");
    let file = dir.join("definitions.json");
    if !is_newer(&file, std::slice::from_ref(&pins)) {
        let python =
            skip::program(&["python3"]).ok_or("no python3 on PATH to fetch schemas with")?;
        // pip of its own: Debian's python has none, and is not to be installed into.
        run(Command::new(python).args(["-m", "venv"]).arg(&dir))?;
        let pip = [
            "download",
            "--quiet",
            "--no-deps",
            "--only-binary=:all:",
            "--require-hashes",
            "--dest",
        ];
        run(Command::new(dir.join("bin/pip"))
            .args(pip)
            .arg(&dir)
            .arg("-r")
            .arg(&pins))?;
        let extract = "import sys, zipfile, glob
wheel, = glob.glob(sys.argv[1] + '/kubernetes_validate-*.whl')
open(sys.argv[3], 'wb').write(zipfile.ZipFile(wheel).read(sys.argv[2]))";
        let python = dir.join("bin/python3");
        run(Command::new(python)
            .args(["-c", extract])
            .arg(&dir)
            .arg(SCHEMAS)
            .arg(&file))?;
    }
    let text = std::fs::read_to_string(&file).map_err(|e| format!("reading {file:?}: {e}"))?;
    // They refer to each other by where they stood.
    serde_json::from_str(&text.replace("/api/_definitions.json#", "#"))
        .map_err(|e| format!("reading {file:?}: {e}"))
}

/// A module that holds the ServiceMonitor's definition, and what it adds up to.
const OPERATOR: &str = "github.com/prometheus-operator/prometheus-operator@v0.85.0";
const OPERATOR_SUM: &str = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=";

/// The definition of `ServiceMonitor`, as YAML. An error is a reason to skip.
pub fn service_monitor() -> Result<String, String> {
    let go = skip::program(&["go", "/usr/local/go/bin/go"]).ok_or("no go on PATH to fetch with")?;
    let output = Command::new(go)
        .args(["mod", "download", "-json", OPERATOR])
        .current_dir(std::env::temp_dir())
        .output()
        .map_err(|e| format!("fetching {OPERATOR}: {e}"))?;
    let told: Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("fetching {OPERATOR}: {e}"))?;
    let dir = told["Dir"]
        .as_str()
        .ok_or_else(|| format!("fetching {OPERATOR}: {}", told["Error"]))?;
    assert_eq!(told["Sum"], OPERATOR_SUM, "{OPERATOR}");
    let file = Path::new(dir)
        .join("example/prometheus-operator-crd/monitoring.coreos.com_servicemonitors.yaml");
    std::fs::read_to_string(&file).map_err(|e| format!("reading {file:?}: {e}"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let failed = |why: String| format!("fetching schemas: {why}");
    let status = command
        .stdout(Stdio::null())
        .status()
        .map_err(|e| failed(e.to_string()))?;
    match status.success() {
        true => Ok(()),
        false => Err(failed(status.to_string())),
    }
}
