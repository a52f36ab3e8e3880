#!/bin/sh
# The build stage of the Dockerfile: build.sh SOURCE TARGET
# makes a virtual environment with the service in TARGET from the checkout in SOURCE.
set -eu
source=$1
target=$2

python3 -m venv "$target"
"$target/bin/python" -m pip install --no-cache-dir --disable-pip-version-check "$source[redis]"
# The service's user can't write there, so what would be compiled at each start is compiled now.
"$target/bin/python" -m compileall -q "$target/lib"
"$target/bin/maimconfig" --help >/dev/null
