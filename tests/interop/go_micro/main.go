// A node and a client of go-micro, for the tests of a mesh of both languages:
//
//	interop server -registry consul|etcd -registry-address HOST:PORT -name NAME [-version VERSION] [-metadata KEY=VALUE,...] [-ttl 90s] [-protocol grpc|mucp]
//	interop client -registry consul|etcd -registry-address HOST:PORT
//
// The server prints one line of JSON when it is registered. The client reads one JSON object a line, does what it says and
// answers each with one line of JSON: see client.go.
package main

import (
	"encoding/json"
	"flag"
	"log"
	"os"
	"strings"
	"time"

	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/registry/consul"
	"go-micro.dev/v5/registry/etcd"
	"go-micro.dev/v5/server"
)

type flags struct {
	registry, address, name, version, metadata, protocol string
	ttl                                                  time.Duration
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("which one: server or client?")
	}
	var given flags
	set := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	set.StringVar(&given.registry, "registry", "consul", "consul or etcd")
	set.StringVar(&given.address, "registry-address", "127.0.0.1:8500", "where it is")
	set.StringVar(&given.name, "name", "mesh", "what the service is called")
	set.StringVar(&given.version, "version", "latest", "go-micro's default")
	set.StringVar(&given.metadata, "metadata", "", "of the node: KEY=VALUE,KEY=VALUE")
	set.StringVar(&given.protocol, "protocol", "grpc", "of the server: grpc, or mucp, which is go-micro's default")
	set.DurationVar(&given.ttl, "ttl", server.DefaultRegisterTTL, "how long it stays listed after it died")
	_ = set.Parse(os.Args[2:])
	os.Stdout = os.Stderr // where go-micro logs, whatever its logger is told
	switch os.Args[1] {
	case "server":
		serve(given)
	case "client":
		obey(given)
	default:
		log.Fatalf("neither server nor client: %s", os.Args[1])
	}
}

func (given flags) open() registry.Registry {
	switch given.registry {
	case "consul":
		return consul.NewConsulRegistry(registry.Addrs(given.address))
	case "etcd":
		return etcd.NewEtcdRegistry(registry.Addrs(given.address))
	}
	log.Fatalf("neither consul nor etcd: %s", given.registry)
	return nil
}

func (given flags) pairs() map[string]string {
	pairs := map[string]string{}
	for _, pair := range strings.Split(given.metadata, ",") {
		if key, value, found := strings.Cut(pair, "="); found {
			pairs[key] = value
		}
	}
	return pairs
}

var answers = os.Stdout

func say(line any) {
	text, err := json.Marshal(line)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := answers.Write(append(text, '\n')); err != nil {
		log.Fatal(err)
	}
}
