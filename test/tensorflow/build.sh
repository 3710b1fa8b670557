#!/usr/bin/env bash
# Builds @tensorflow/tfjs-node for the differential suite, without the download of its install script: the addon's sources come with
# the npm package, TensorFlow's libraries and headers with the wheel tensorflow-cpu. Needs npm, g++ and pip. Prints the folder.
# Usage: test/tensorflow/build.sh [FOLDER]; the default is where the suite looks. A second call finds it done.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:-${GRAFT_TENSORFLOW_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/graft/tensorflow}}
wheel=tensorflow-cpu==2.15.1

done_file=$folder/built
inputs=$(cat "$here/build.sh" "$here/package-lock.json" | sha256sum | cut -d ' ' -f 1)
if [ "$(cat "$done_file" 2>/dev/null || true)" = "$inputs" ]; then
  echo "$folder"
  exit 0
fi

mkdir -p "$folder"
rm -rf "$done_file" "$folder/node_modules" "$folder/wheel"
cp "$here/package.json" "$here/package-lock.json" "$folder/"
(cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)

python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
  --python-version 3.11 --platform manylinux2014_x86_64 --dest "$folder/wheel" "$wheel" >&2
python3 - "$folder/wheel" <<'PY'
import pathlib, sys, zipfile

folder = pathlib.Path(sys.argv[1])
wheel = next(folder.glob("*.whl"))
wanted = ("tensorflow/libtensorflow_cc.so", "tensorflow/libtensorflow_framework.so", "tensorflow/include/tensorflow/",
          "tensorflow/include/tsl/", "tensorflow/include/xla/tsl/")
with zipfile.ZipFile(wheel) as archive:
    archive.extractall(folder, [name for name in archive.namelist() if name.startswith(wanted)])
wheel.unlink()
PY

package=$folder/node_modules/@tensorflow/tfjs-node
libraries=$folder/wheel/tensorflow
mkdir -p "$package/lib/napi-v8"
# The path from lib/napi-v8 to the libraries is relative, so that the folder may be moved.
g++ -std=c++17 -O2 -fPIC -shared -w -DNAPI_VERSION=8 \
  -I "$folder/node_modules/node-api-headers/include" -I "$libraries/include" \
  "$package/binding/tfjs_backend.cc" "$package/binding/tfjs_binding.cc" \
  -o "$package/lib/napi-v8/tfjs_binding.node" \
  -Wl,-rpath,'$ORIGIN/../../../../../wheel/tensorflow' \
  "$libraries/libtensorflow_cc.so.2" "$libraries/libtensorflow_framework.so.2"

echo "$inputs" >"$done_file"
echo "$folder"
