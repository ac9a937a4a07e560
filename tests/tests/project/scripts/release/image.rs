//! The container image, of the programs of a release.

use std::fs;

use super::{VERSION, Workshop, errors, program};

/// Stands in for Docker: writes down its calls and the program that each image is made of.
const DOCKER: &str = r#"#!/bin/sh
echo "$*" >>docker.log
case "$2" in
  build)
    for argument; do
      case "$argument" in
        build=*)
          cp "${argument#build=}/server" "image.$(grep -c ' build ' docker.log)"
          ls "${argument#build=}" >>docker.stage
          ;;
      esac
      if [ "${last:-}" = --metadata-file ]; then
        echo "{\"containerimage.digest\":\"sha256:$(grep -c ' build ' docker.log)\"}" >"$argument"
      fi
      last="$argument"
    done ;;
  imagetools) [ "$3" = create ] || echo '{"digest":"sha256:both"}' ;;
esac
"#;

#[test]
fn the_image_has_the_released_program_of_each_architecture() {
    let workshop = Workshop::new();
    let root = &workshop.scratch.root;
    let folder = workshop.release("out");
    workshop.scratch.program("bin/docker", DOCKER);
    let arguments = [VERSION, folder.to_str().unwrap(), "ghcr.io/Some/Name"];
    let path = workshop.path();
    let output = workshop
        .scratch
        .script("image.sh", &arguments, &[("PATH", &path)]);
    assert!(output.status.success(), "{}", errors(&output));
    assert_eq!(output.stdout, b"sha256:both\n");
    let log = fs::read_to_string(root.join("docker.log")).unwrap();
    let calls: Vec<_> = log.lines().collect();
    for (number, (platform, architecture)) in [("linux/amd64", "x86_64"), ("linux/arm64", "arm64")]
        .into_iter()
        .enumerate()
    {
        assert!(
            calls[number].contains(&format!("--platform {platform} ")),
            "{log}"
        );
        let image = fs::read(root.join(format!("image.{}", number + 1))).unwrap();
        assert_eq!(image, program(architecture));
    }
    // What the Dockerfile copies out of the stage that this stands in for.
    let stage = fs::read_to_string(root.join("docker.stage")).unwrap();
    assert_eq!(stage, "data\nserver\n".repeat(2));
    let wanted = format!(
        "buildx imagetools create --tag ghcr.io/some/name:{VERSION} ghcr.io/some/name@sha256:1 ghcr.io/some/name@sha256:2"
    );
    assert_eq!(calls[2], wanted);
}
