#!/usr/bin/env bash
# Places ONNX Runtime's CUDA provider beside the library of onnxruntime-node, out of the Python wheel onnxruntime-gpu of the same version:
# for hosts whose firewall blocks the download of the npm package's install script. Linux x64; needs python3 with pip.
# Usage: scripts/cuda-provider.sh [FOLDER of the package onnxruntime-node]; the default is the one that is installed here. See docs/gpu.md.
set -euo pipefail
package=${1:-$(cd "$(dirname "$0")/.." && pwd)/node_modules/onnxruntime-node}
version=$(node -p 'require(process.argv[1]).version' "$package/package.json")
target=$(dirname "$(find "$package/bin" -path '*/linux/x64/libonnxruntime.so.1' -print -quit)")
wheels=$(mktemp -d)
trap 'rm -r "$wheels"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$wheels" "onnxruntime-gpu==$version" >&2
python3 - "$wheels" "$target" <<'PY'
import pathlib, sys, zipfile

wheels, target = map(pathlib.Path, sys.argv[1:])
with zipfile.ZipFile(next(wheels.glob("*.whl"))) as archive:
    for name in ("shared", "cuda"):
        file = f"libonnxruntime_providers_{name}.so"
        (target / file).write_bytes(archive.read(f"onnxruntime/capi/{file}"))
        print(target / file)
PY
