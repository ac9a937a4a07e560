"""The parts of a build and of a release that are files, for build.sh, release.sh, release-template.sh and
deploy.sh:

lay-out                         puts the built functions into .aws-sam/build with a template that names them
functions ARCH FOLDER VERSION   zips the functions that are there, and writes template-ARCH.yaml, which names
                                them
binary NAME TARGET FILE FOLDER  packs a program that runs without Lambda
sbom NAME FILE FOLDER           takes a list of dependencies, without the folders of this machine
finish FOLDER VERSION COMMIT    writes manifest.json and SHA256SUMS
verify FOLDER ARCH              checks what a deployment to ARCH reads, and prints the path of the template

A release is one flat folder, because the files of a release on GitHub have no folders. The same input
makes the same bytes.
"""

import gzip
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

SUMS, MANIFEST, FORMATS = "SHA256SUMS", "manifest.json", Path("shared/row-formats.json")

# Of readelf, by the names that this project has for architectures, and that targets begin with.
MACHINES = {
    "arm64": "AArch64",
    "aarch64": "AArch64",
    "x86_64": "Advanced Micro Devices X86-64",
}

# Where `sam build` leaves what it has built, and `sam deploy` looks for it.
BUILD = Path(".aws-sam/build")

CODE_URI = re.compile(r"^(\s+CodeUri: )functions/(\S+)$", re.MULTILINE)


def die(message):
    sys.exit(f"error: {message}")


def readelf(*arguments):
    result = subprocess.run(["readelf", "--wide", *arguments], capture_output=True, text=True)
    if result.returncode != 0 or "Not an ELF file" in result.stderr:
        die(f"readelf can't read {arguments[-1]}: {result.stderr.strip()}")
    return result.stdout


def check_machine(file, architecture):
    """Dies unless the ELF file is for the architecture."""
    machine = re.search(r"Machine:\s+(.*)", readelf("--file-header", str(file)))
    if machine is None or machine[1] != MACHINES[architecture]:
        die(f"{file} is not for {architecture}, but for {machine and machine[1]}")


def check_static(file):
    """Dies if the ELF file needs anything of the machine that it runs on."""
    if "INTERP" in readelf("--program-headers", str(file)) or "(NEEDED)" in readelf("--dynamic", str(file)):
        die(f"{file} is not static")


def largest_zip():
    """How large a function's zip may be, in bytes."""
    text = Path("bench/budget.toml").read_text()
    section = re.search(r"^\[release\]\n((?:(?!\[).*\n)*)", text, re.MULTILINE)
    entry = section and re.search(r"^zip-size = (\d+)", section[1], re.MULTILINE)
    if not entry:
        die("bench/budget.toml has no zip-size under [release]")
    return int(entry[1]) * 1024


def built_functions(template):
    """The functions of the template, with the place of each one's binary, as of `sam build`."""
    resource = None
    for line in template.splitlines():
        if name := re.fullmatch(r"  (\w+):", line):
            resource = name[1]
        elif code := CODE_URI.fullmatch(line):
            yield code[2], BUILD / resource / "bootstrap"


def lay_out():
    """Leaves what `sam build` would leave. `sam deploy` takes the template there in place of ours."""
    template = Path("template.yaml").read_text()
    built = [(Path("target/lambda", name, "bootstrap"), name, binary) for name, binary in built_functions(template)]
    for program, name, _ in built:
        if not program.is_file():
            die(f"{name} was not built: there is no {program}")
    shutil.rmtree(BUILD, ignore_errors=True)
    for program, name, binary in built:
        binary.parent.mkdir(parents=True)
        shutil.copy(program, binary)
        print(f"  {binary}  {binary.stat().st_size} bytes")
        template = template.replace(f"CodeUri: functions/{name}\n", f"CodeUri: {binary.parent.name}\n")
    (BUILD / "template.yaml").write_text(without_build_methods(template))


def without_build_methods(template):
    return replaced(r"^ +Metadata: \{ BuildMethod: .*\n", "", template)


def replaced(pattern, by, text):
    text, count = re.subn(pattern, by, text, flags=re.MULTILINE)
    if count == 0:
        die(f"template.yaml has nothing like {pattern}")
    return text


def functions(architecture, folder, version):
    template, limit = Path("template.yaml").read_text(), largest_zip()
    built = list(built_functions(template))
    if not built:
        die("template.yaml names no function")
    for name, binary in built:
        if not binary.is_file():
            die(f"{name} was not built: there is no {binary}")
        check_machine(binary, architecture)
        check_static(binary)
        path = Path(folder, f"{name}-{architecture}.zip")
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
            entry = zipfile.ZipInfo("bootstrap")  # of 1980
            entry.create_system = 3  # Unix, on macOS too
            entry.external_attr = 0o100755 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, binary.read_bytes())
        size = path.stat().st_size
        print(f"  {path}  {size} bytes")
        if size > limit:
            die(f"{path} is larger than bench/budget.toml allows: {size} bytes, not {limit}")
    packaged = package(template, architecture, version)
    Path(folder, f"template-{architecture}.yaml").write_text(packaged)


def package(template, architecture, version):
    """The template with zips in place of folders, for one architecture."""
    template = replaced(CODE_URI.pattern, rf"\1./\2-{architecture}.zip", template)
    template = without_build_methods(template)
    template = replaced(r"^(Description: .*)$", rf"\1 ({version})", template)
    # These zips run on no other one.
    parameter = re.search(r"^  Architecture:\n(?:    .*\n)+", template, re.MULTILINE)
    if parameter is None:
        die("template.yaml has no parameter Architecture")
    narrowed = replaced(r"^(    Default: ).*$", rf"\1{architecture}", parameter[0])
    narrowed = replaced(r"^(    AllowedValues: ).*$", rf"\1[{architecture}]", narrowed)
    return template.replace(parameter[0], narrowed)


def binary(name, target, file, folder):
    if "linux" in target:
        check_machine(file, target.split("-")[0])
        check_static(file)
    path = Path(folder, f"{name}-{target}.tar.gz")
    content = Path(file).read_bytes()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o755
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as packed:
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            with open(file, "rb") as source:
                archive.addfile(entry, source)
    print(f"  {path}  {path.stat().st_size} bytes")


def sbom(name, file, folder):
    text = Path(file).read_text().replace(f"path+file://{Path.cwd()}", "path+file:///weapp-serverless")
    Path(folder, f"{name}.cdx.json").write_text(text)
    Path(file).unlink()


def finish(folder, version, commit):
    folder, newest = Path(folder), json.loads(FORMATS.read_text())[-1]
    names = sorted(path.name for path in folder.iterdir() if path.name not in (SUMS, MANIFEST))
    templates = [name for name in names if name.startswith("template-")]
    architectures = [name.removeprefix("template-").removesuffix(".yaml") for name in templates]
    for template in templates:
        for zipped in zips(folder / template):
            if zipped not in names:
                die(f"{template} names {zipped}, which is missing")
    manifest = {
        "name": "weapp-serverless",
        "version": version,
        "commit": commit,
        "architectures": architectures,
        "rollback": {
            "safeTo": f"v{newest['readableFrom']}",
            "because": newest["why"],
        },
        "files": names,
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False)
    (folder / MANIFEST).write_text(text + "\n")
    lines = [f"{digest(folder / name)}  {name}\n" for name in sorted([*names, MANIFEST])]
    (folder / SUMS).write_text("".join(lines))
    print(f"  {folder}: {len(names) + 2} files; safe to roll back to {manifest['rollback']['safeTo']} and later")


def zips(template):
    """The files that the template names."""
    return re.findall(r"^\s+CodeUri: \./(\S+)$", template.read_text(), re.MULTILINE)


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def verify(folder, architecture):
    folder, template = Path(folder), f"template-{architecture}.yaml"
    if not (folder / SUMS).is_file():
        die(f"{folder} is not a release: it has no {SUMS}")
    lines = (line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines())
    known = {name: value for value, name in lines}

    def check(name):
        if name not in known:
            die(f"{SUMS} does not list {name}")
        if not (folder / name).is_file():
            die(f"{name} is missing in {folder}")
        if digest(folder / name) != known[name]:
            die(f"{name} is not what was released: its checksum is another one")

    check(MANIFEST)
    manifest = json.loads((folder / MANIFEST).read_text())
    if architecture not in manifest["architectures"]:
        die(f"{manifest['version']} was not built for {architecture}, but for {', '.join(manifest['architectures'])}")
    check(template)
    for name in zips(folder / template):
        check(name)
    version, rollback = manifest["version"], manifest["rollback"]["safeTo"]
    print(f"==> {version} of commit {manifest['commit']}, safe to roll back to {rollback} and later", file=sys.stderr)
    print((folder / template).resolve())


COMMANDS = {
    "lay-out": lay_out,
    "functions": functions,
    "binary": binary,
    "sbom": sbom,
    "finish": finish,
    "verify": verify,
}


def main(command, *arguments):
    COMMANDS[command](*arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
