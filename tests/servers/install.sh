#!/usr/bin/env bash
# Installs a server that tests start, once, below $WEIR_CACHE/servers, and prints where its program is.
# usage: install.sh versitygw | azurite | fake-gcs-server
#
# Each is built or fetched by the package manager of its language: Go's or npm's. Nothing is started here: who needs a
# server starts it, on a port of its own, and stops it. Two calls at once wait for each other.
set -euo pipefail

servers=${WEIR_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/weir}/servers

fail() { printf 'tests/servers/install.sh: %s\n' "$*" >&2; exit 1; }

# go_program NAME PACKAGE@VERSION: a few minutes of CPU the first time, which is why it is kept.
go_program() {
  local folder="$servers/$1/${2##*@}" log="$servers/$1.log"
  if [ ! -x "$folder/$1" ]; then
    command -v go >/dev/null || fail "$1 needs Go, to be built. Install Go 1.26 or newer (https://go.dev/dl), then try again."
    echo "tests/servers/install.sh: building $2; this happens once and takes some minutes" >&2
    GOBIN="$folder.new" GOFLAGS="-buildvcs=false -trimpath" go install -ldflags='-s -w' "$2" >"$log" 2>&1 \
      || fail "$2 could not be built; see $log"
    rm -rf "$folder" && mv "$folder.new" "$folder"
  fi
  echo "$folder/$1"
}

# npm_program NAME VERSION FILE
npm_program() {
  local folder="$servers/$1/$2" log="$servers/$1.log"
  if [ ! -e "$folder/$3" ]; then
    command -v node >/dev/null && command -v npm >/dev/null \
      || fail "$1 needs Node.js and npm. Install Node.js 20 or newer (Debian: apt-get install nodejs npm), then try again."
    echo "tests/servers/install.sh: fetching $1 $2; this happens once" >&2
    rm -rf "$folder.new" && mkdir -p "$folder.new"
    npm install --prefix "$folder.new" --no-audit --no-fund --ignore-scripts "$1@$2" >"$log" 2>&1 \
      || fail "$1 $2 could not be fetched; see $log"
    rm -rf "$folder" && mv "$folder.new" "$folder"
  fi
  echo "$folder/$3"
}

mkdir -p "$servers"
exec 9>"$servers/${1:-none}.lock"
command -v flock >/dev/null && flock 9

case ${1:-} in
  versitygw) go_program versitygw github.com/versity/versitygw/cmd/versitygw@v1.8.0 ;;
  fake-gcs-server) go_program fake-gcs-server github.com/fsouza/fake-gcs-server@v1.56.1 ;;
  azurite) npm_program azurite 3.37.0 node_modules/azurite/dist/src/blob/main.js ;;
  *) fail "name one of versitygw, azurite, fake-gcs-server" ;;
esac
