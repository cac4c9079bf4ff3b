// go-micro beside this project in the benchmarks of discovery: a client, or a server with one handler.
//
//	bench client consul|etcd|memory HOST:PORT [always]
//	bench server consul|etcd HOST:PORT NAME TTL INTERVAL
//
// It prints READY, answers each line of JSON with one, and ends with its standard input: see benchmarks/children.py. All but the
// lease of a server is as go-micro has it by default; with "always", a client tries calls again after any error.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"time"

	"go-micro.dev/v5/client"
	grpcclient "go-micro.dev/v5/client/grpc"
	"go-micro.dev/v5/logger"
	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/registry/consul"
	"go-micro.dev/v5/registry/etcd"
	"go-micro.dev/v5/selector"
	"go-micro.dev/v5/server"
	grpcserver "go-micro.dev/v5/server/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// question is one line that it reads.
type question struct {
	Do      string
	Names   []string // to watch
	Name    string   // to call
	Workers int      // that call
	Pause   float64  // seconds between two calls of a worker
	Address string   // of the node that died
	Since   float64  // when, in seconds of Unix time
	Nodes   int      // that there are
	Seconds float64  // of CPU to spend
}

func main() {
	if len(os.Args) < 4 {
		log.Fatal("bench client|server REGISTRY HOST:PORT …")
	}
	answers := os.Stdout
	os.Stdout = os.Stderr // where go-micro logs, whatever its logger is told
	if err := logger.Init(logger.WithLevel(logger.ErrorLevel)); err != nil {
		log.Fatal(err)
	}
	reg := open(os.Args[2], os.Args[3])
	var answer func(question) any
	switch os.Args[1] {
	case "client":
		answer = newCaller(reg, len(os.Args) > 4 && os.Args[4] == "always").answer
	case "server":
		answer = serve(reg, os.Args[4], duration(os.Args[5]), duration(os.Args[6]))
	default:
		log.Fatalf("neither client nor server: %s", os.Args[1])
	}
	fmt.Fprintln(answers, "READY")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		if err := json.NewEncoder(answers).Encode(answer(asked)); err != nil {
			log.Fatal(err)
		}
	}
}

func open(kind, address string) registry.Registry {
	switch kind {
	case "consul":
		return consul.NewConsulRegistry(registry.Addrs(address))
	case "etcd":
		return etcd.NewEtcdRegistry(registry.Addrs(address))
	case "memory":
		return registry.NewMemoryRegistry()
	}
	log.Fatalf("no such registry: %s", kind)
	return nil
}

func duration(text string) time.Duration {
	span, err := time.ParseDuration(text)
	if err != nil {
		log.Fatal(err)
	}
	return span
}

// Bench answers with what it was sent; a StringValue is on the wire what the benchmarks' Item is.
type Bench struct{}

// Echo gives its request back.
func (*Bench) Echo(_ context.Context, request, reply *wrapperspb.StringValue) error {
	reply.Value = request.Value
	return nil
}

func serve(reg registry.Registry, name string, ttl, interval time.Duration) func(question) any {
	srv := grpcserver.NewServer(
		server.Name(name), server.Registry(reg), server.Address("127.0.0.1:0"),
		server.RegisterTTL(ttl), server.RegisterInterval(interval),
	)
	if err := srv.Handle(srv.NewHandler(&Bench{})); err != nil {
		log.Fatal(err)
	}
	if err := srv.Start(); err != nil {
		log.Fatal(err)
	}
	return func(question) any { return nil }
}

type caller struct {
	registry registry.Registry
	selector selector.Selector
	client   client.Client
	loading  *load
}

func newCaller(reg registry.Registry, always bool) *caller {
	c := &caller{registry: reg, selector: selector.NewSelector(selector.Registry(reg))}
	retry := client.DefaultRetry
	if always {
		retry = client.RetryAlways
	}
	c.client = grpcclient.NewClient(
		client.Registry(reg), client.Selector(c.selector), client.WrapCall(c.noting), client.Retry(retry),
	)
	return c
}

func (c *caller) answer(asked question) any {
	switch asked.Do {
	case "watch": // picks a node of each name every second from now on, as a client does whose calls are few
		for _, name := range asked.Names {
			go func() {
				for ; ; time.Sleep(time.Second) {
					c.pick(name)
				}
			}()
		}
		return nil
	case "pick": // what selecting costs
		return c.cost(asked.Nodes, asked.Seconds)
	case "load": // calls without end
		c.loading = newLoad(c, asked)
		return nil
	case "view": // the nodes that it would call
		return c.loading.view()
	case "stop":
		return c.loading.stop(asked)
	}
	log.Fatalf("what is %q?", asked.Do)
	return nil
}

func (c *caller) pick(name string) {
	next, err := c.selector.Select(name)
	if err == nil {
		_, err = next()
	}
	if err != nil {
		log.Print(err)
	}
}

func (c *caller) noting(call client.CallFunc) client.CallFunc {
	return func(ctx context.Context, node *registry.Node, request client.Request, reply any, options client.CallOptions) error {
		c.loading.note(node.Address)
		return call(ctx, node, request, reply, options)
	}
}
