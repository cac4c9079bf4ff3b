// Command go_micro_events publishes and consumes the events of shop.proto with go-micro and its Kafka plugin, for the tests of ours.
//
//	go_micro_events publish   -broker HOST:PORT [-with grpc|mucp|broker] [-content-type TYPE]
//	go_micro_events subscribe -broker HOST:PORT -topic TOPIC [-with grpc|mucp|broker] [-queue GROUP] [-from oldest] [-retention 24h] [-type OrderPlaced]
//
// Publish reads one JSON object a line, {"topic", "type", "event": the JSON of the message, "header"}, and answers each with {}
// or {"error"}. It publishes with micro.NewEvent over the client of that name, or with broker.Publish.
//
// Subscribe prints one JSON object for each message: {"event", "header"} from a handler that is registered with a server of that
// name; {"body", "header"} from a handler of the broker.
//
// What is not given is as go-micro has it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/Shopify/sarama"
	"github.com/go-micro/plugins/v4/broker/kafka"
	grpcclient "github.com/go-micro/plugins/v4/client/grpc"
	grpcserver "github.com/go-micro/plugins/v4/server/grpc"
	"go-micro.dev/v4"
	"go-micro.dev/v4/broker"
	"go-micro.dev/v4/client"
	"go-micro.dev/v4/metadata"
	"go-micro.dev/v4/registry"
	"go-micro.dev/v4/server"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"micro-rt/tests/interop/go_micro_events/shop"
)

type flags struct {
	broker, with, contentType, topic, queue, from, kind string
	retention                                           time.Duration
}

func main() {
	if len(os.Args) < 2 {
		log.Fatal("which one: publish or subscribe?")
	}
	var given flags
	set := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	set.StringVar(&given.broker, "broker", "", "where Kafka is")
	set.StringVar(&given.with, "with", "grpc", "grpc, mucp or broker")
	set.StringVar(&given.contentType, "content-type", "", "of what is published")
	set.StringVar(&given.topic, "topic", "", "what is consumed")
	set.StringVar(&given.queue, "queue", "", "the group")
	set.StringVar(&given.from, "from", "", "oldest: a new group begins there")
	set.DurationVar(&given.retention, "retention", 0, "of what the group commits")
	set.StringVar(&given.kind, "type", "OrderPlaced", "of the handler's argument")
	_ = set.Parse(os.Args[2:])
	out = json.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr // where go-micro logs, whatever its logger is told
	switch os.Args[1] {
	case "publish":
		publish(given)
	case "subscribe":
		subscribe(given)
	default:
		log.Fatalf("neither publish nor subscribe: %s", os.Args[1])
	}
}

var (
	out    *json.Encoder
	saying sync.Mutex
)

func say(what any) {
	saying.Lock()
	defer saying.Unlock()
	must(out.Encode(what))
}

func (given flags) open() broker.Broker {
	options := []broker.Option{broker.Addrs(given.broker)}
	if given.from == "oldest" || given.retention != 0 {
		config := sarama.NewConfig()
		config.Consumer.Return.Errors = true
		if given.from == "oldest" {
			config.Consumer.Offsets.Initial = sarama.OffsetOldest
		}
		config.Consumer.Offsets.Retention = given.retention
		options = append(options, kafka.ClusterConfig(config))
	}
	opened := kafka.NewBroker(options...)
	must(opened.Init())
	must(opened.Connect())
	return opened
}

type order struct {
	Topic, Type string
	Event       json.RawMessage
	Header      map[string]string
}

func publish(given flags) {
	to := given.open()
	publishing := newClient(given, to)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var told order
		must(json.Unmarshal(lines.Bytes(), &told))
		message := newMessage(told.Type)
		must(protojson.Unmarshal(told.Event, message))
		if err := publishOne(to, publishing, told, message, given.contentType); err != nil {
			say(map[string]string{"error": err.Error()})
		} else {
			say(struct{}{})
		}
	}
	must(to.Disconnect())
}

func publishOne(to broker.Broker, publishing client.Client, told order, message proto.Message, contentType string) error {
	if publishing == nil {
		header := map[string]string{}
		for key, value := range told.Header {
			header[key] = value
		}
		if contentType != "" {
			header["Content-Type"] = contentType
		}
		body, err := proto.Marshal(message)
		if err != nil {
			return err
		}
		return to.Publish(told.Topic, &broker.Message{Header: header, Body: body})
	}
	ctx := context.Background()
	if told.Header != nil {
		ctx = metadata.NewContext(ctx, told.Header)
	}
	return micro.NewEvent(told.Topic, publishing).Publish(ctx, message)
}

func newClient(given flags, to broker.Broker) client.Client {
	options := []client.Option{client.Broker(to), client.Registry(registry.NewMemoryRegistry())}
	if given.contentType != "" {
		options = append(options, client.ContentType(given.contentType))
	}
	switch given.with {
	case "grpc":
		return grpcclient.NewClient(options...)
	case "mucp":
		return client.NewClient(options...)
	}
	return nil
}

func newMessage(name string) proto.Message {
	found, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	must(err)
	return found.New().Interface()
}

func subscribe(given flags) {
	from := given.open()
	if given.with == "broker" {
		var options []broker.SubscribeOption
		if given.queue != "" {
			options = append(options, broker.Queue(given.queue))
		}
		_, err := from.Subscribe(given.topic, func(event broker.Event) error {
			say(map[string]any{"body": event.Message().Body, "header": event.Message().Header})
			return nil
		}, options...)
		must(err)
		select {}
	}
	options := []server.Option{
		server.Name("go-shop"),
		server.Address("127.0.0.1:0"),
		server.Broker(from),
		server.Registry(registry.NewMemoryRegistry()),
	}
	serving := server.NewServer(options...)
	if given.with == "grpc" {
		serving = grpcserver.NewServer(options...)
	}
	var queue []server.SubscriberOption
	if given.queue != "" {
		queue = append(queue, server.SubscriberQueue(given.queue))
	}
	must(micro.RegisterSubscriber(given.topic, serving, handler(given.kind), queue...))
	must(serving.Start())
	select {}
}

func handler(kind string) any {
	switch kind {
	case "OrderPlaced":
		return func(ctx context.Context, event *shop.OrderPlaced) error { return handled(ctx, event) }
	case "Ping":
		return func(ctx context.Context, event *shop.Ping) error { return handled(ctx, event) }
	}
	panic(fmt.Sprintf("no handler of %s", kind))
}

func handled(ctx context.Context, event proto.Message) error {
	text, err := protojson.Marshal(event)
	if err != nil {
		return err
	}
	header, _ := metadata.FromContext(ctx)
	say(map[string]any{"event": json.RawMessage(text), "header": header})
	return nil
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
