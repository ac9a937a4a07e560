//! `make build`, with a cargo that leaves a text in place of each program.

use std::{collections::BTreeMap, fs};

use e2e::binaries::workspace;

use super::{Scratch, copy, errors, path};
use crate::template::yaml;

/// Stands in for cargo: what it leaves says how it was called. It can't build the function `BROKEN`.
const CARGO: &str = r#"#!/bin/sh
all="$*"
while [ $# -gt 0 ]; do
  case "$1" in
    --manifest-path) manifest="$2" ;;
    --bin) name="$2" ;;
    --lambda-dir) folder="$2" ;;
  esac
  shift
done
[ "$name" != "${BROKEN:-}" ] || exit 1
mkdir -p "$folder/$name"
echo "$manifest ${all%% --manifest-path*}" >"$folder/$name/bootstrap"
"#;

#[test]
fn a_build_leaves_a_static_program_of_each_function_where_sam_looks_for_it() {
    let scratch = Scratch::new();
    scratch.program("scripts/tools/install.sh", "#!/bin/sh\n");
    scratch.program("bin/cargo", CARGO);
    scratch.program("bin/rustup", "#!/bin/sh\n");
    let mut wanted = yaml::parse(&fs::read_to_string(workspace().join("template.yaml")).unwrap());
    let mut programs = BTreeMap::new();
    for (id, resource) in wanted["Resources"].as_object_mut().unwrap() {
        let Some(folder) = resource["Properties"]["CodeUri"].as_str() else {
            continue;
        };
        let manifest = format!("{folder}/Cargo.toml");
        copy(&workspace().join(&manifest), &scratch.root.join(&manifest));
        let name = folder.strip_prefix("functions/").unwrap();
        programs.insert(id.clone(), name.to_owned());
        resource["Properties"]["CodeUri"] = id.clone().into();
        // Nothing is built again.
        resource.as_object_mut().unwrap().remove("Metadata");
    }
    // What an earlier build left.
    scratch.program(".aws-sam/build/OldFunction/bootstrap", "");
    let path = format!("{}:{}", scratch.root.join("bin").display(), path());
    for (architecture, target) in [("arm64", "aarch64"), ("x86_64", "x86_64")] {
        let output = scratch.script("build.sh", &[architecture], &[("PATH", &path)]);
        assert!(output.status.success(), "{}", errors(&output));
        let build = scratch.root.join(".aws-sam/build");
        let template = fs::read_to_string(build.join("template.yaml")).unwrap();
        assert_eq!(yaml::parse(&template), wanted);
        for (id, name) in &programs {
            let program = fs::read_to_string(build.join(id).join("bootstrap")).unwrap();
            let arguments = "lambda build --locked --release --target";
            assert_eq!(
                program,
                format!("functions/{name}/Cargo.toml {arguments} {target}-unknown-linux-musl\n")
            );
        }
        assert_eq!(fs::read_dir(&build).unwrap().count(), programs.len() + 1);
    }
    // Not what an earlier build left of it.
    let broken = [("PATH", path.as_str()), ("BROKEN", "account")];
    let output = scratch.script("build.sh", &["arm64"], &broken);
    assert!(!output.status.success(), "deployed although a build failed");
    let output = scratch.script("build.sh", &["mips"], &[("PATH", &path)]);
    assert!(!output.status.success());
    assert!(errors(&output).contains("an architecture is arm64 or x86_64, not mips"));
}
