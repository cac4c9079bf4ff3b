#!/bin/sh
# Writes the Go stubs of the tests and of examples/mesh anew, with go-micro's own generator and protoc-gen-go.
# Needs protoc on the PATH and a Go toolchain; ./generate.sh
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT

tool() { # module@version package
	rm -rf "$tools/module" && mkdir "$tools/module" && cd "$tools/module"
	printf 'module tools\n\ngo 1.25\n' >go.mod
	go mod edit -require "$1"
	GOFLAGS=-mod=mod CGO_ENABLED=0 go build -p 2 -trimpath -o "$tools/bin/$(basename "$2")" "$2"
}
tool github.com/micro/micro/v5@v5.8.0 github.com/micro/micro/v5/cmd/protoc-gen-micro
tool google.golang.org/protobuf@v1.36.6 google.golang.org/protobuf/cmd/protoc-gen-go

stubs() { # folder of the .proto, its name, where to write
	mkdir -p "$3"
	protoc -I "$1" --plugin="$tools/bin/protoc-gen-go" --plugin="$tools/bin/protoc-gen-micro" \
		--go_out="$3" --go_opt=paths=source_relative --micro_out="$3" --micro_opt=paths=source_relative "$1/$2"
}
stubs "$root/tests/protos" mesh.proto "$here/mesh"
stubs "$root/examples/mesh" greeter.proto "$root/examples/mesh/go/greeter"
