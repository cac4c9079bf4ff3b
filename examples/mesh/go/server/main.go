// A node in Go, with go-micro: MICRO_REGISTRY=consul://127.0.0.1:8500 ./server
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"go-micro.dev/v5"
	"go-micro.dev/v5/errors"
	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/registry/consul"
	"go-micro.dev/v5/server"
	"go-micro.dev/v5/server/grpc"

	"mesh/greeter"
)

var name = fmt.Sprintf("Go %d", os.Getpid())

type Greeter struct{}

func (Greeter) SayHello(_ context.Context, request *greeter.HelloRequest, reply *greeter.HelloReply) error {
	if request.Name == "Godot" {
		return errors.NotFound("greeter.absent", "Godot has not come")
	}
	reply.Message, reply.Greeter = "Hello "+request.Name, name
	return nil
}

func (Greeter) Chat(_ context.Context, stream greeter.Greeter_ChatStream) error {
	for {
		request, err := stream.Recv()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.Send(&greeter.HelloReply{Message: "Hello " + request.Name, Greeter: name}); err != nil {
			return err
		}
	}
}

func main() {
	address := strings.TrimPrefix(os.Getenv("MICRO_REGISTRY"), "consul://")
	srv := grpc.NewServer(
		server.Name("greeter"),
		server.Address("127.0.0.1:0"),
		server.Registry(consul.NewConsulRegistry(registry.Addrs(address))),
		server.RegisterTTL(server.DefaultRegisterTTL),
		server.RegisterInterval(server.DefaultRegisterInterval),
	)
	if err := greeter.RegisterGreeterHandler(srv, Greeter{}); err != nil {
		log.Fatal(err)
	}
	if err := micro.NewService(micro.Server(srv)).Run(); err != nil {
		log.Fatal(err)
	}
}
