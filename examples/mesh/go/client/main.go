// A client in Go, with go-micro: MICRO_REGISTRY=consul://127.0.0.1:8500 ./client CALLS
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"

	"go-micro.dev/v5/client"
	"go-micro.dev/v5/client/grpc"
	"go-micro.dev/v5/errors"
	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/registry/consul"
	"go-micro.dev/v5/selector"

	"mesh/greeter"
)

func main() {
	address := strings.TrimPrefix(os.Getenv("MICRO_REGISTRY"), "consul://")
	calls, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	reg := consul.NewConsulRegistry(registry.Addrs(address))
	service := greeter.NewGreeterService("greeter", grpc.NewClient(
		client.Registry(reg), client.Selector(selector.NewSelector(selector.Registry(reg))),
	))
	ctx := context.Background()

	reply, err := service.SayHello(ctx, &greeter.HelloRequest{Name: "Ada"})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("SayHello(...)                    %s, from %s\n", reply.Message, reply.Greeter)

	stream, err := service.Chat(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, person := range []string{"Grace", "Barbara"} {
		if err := stream.Send(&greeter.HelloRequest{Name: person}); err != nil {
			log.Fatal(err)
		}
		reply, err := stream.Recv()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("Chat: Send, Recv                 %s, from %s\n", reply.Message, reply.Greeter)
	}
	stream.Close()

	_, err = service.SayHello(ctx, &greeter.HelloRequest{Name: "Godot"})
	if e, ok := err.(*errors.Error); ok {
		fmt.Printf("and an error                     errors.Error %d %s: %s\n", e.Code, e.Id, e.Detail)
	}

	fmt.Printf("%d calls, one after the other\n", calls)
	answered, lost := map[string]int{}, 0
	for i := 0; i < calls; i++ {
		if reply, err := service.SayHello(ctx, &greeter.HelloRequest{Name: "Ada"}); err != nil {
			if lost++; lost == 1 {
				fmt.Println("lost:", err)
			}
		} else {
			answered[reply.Greeter]++
		}
		time.Sleep(time.Millisecond)
	}
	names := []string{}
	for name := range answered {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		fmt.Printf("  %-14s answered %4d\n", name, answered[name])
	}
	fmt.Printf("%d lost\n", lost)
	if lost > 0 {
		os.Exit(1)
	}
}
