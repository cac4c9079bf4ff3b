package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"go-micro.dev/v5/client"
	"go-micro.dev/v5/client/grpc"
	"go-micro.dev/v5/errors"
	"go-micro.dev/v5/metadata"
	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/selector"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"interop/mesh"
)

// order is one line that the client reads.
type order struct {
	Do       string            // the name of a method of the client below
	Service  string            // whom to call
	Times    int               // how often, or up to what number
	Close    int               // after how many replies to close a stream; 0 for never
	Timeout  int64             // milliseconds; 0 for go-micro's own
	Metadata map[string]string // to send
	Texts    []string          // to send, one after the other
	Failure  json.RawMessage   // a mesh.Failure
	Rest     json.RawMessage   // a mesh.Rest
	Shapes   json.RawMessage   // a mesh.Shapes
}

// answer is one line that it writes.
type answer struct {
	Nodes    map[string]int      `json:"nodes,omitempty"`
	Numbers  []int64             `json:"numbers,omitempty"`
	Texts    []string            `json:"texts,omitempty"`
	Values   map[string]string   `json:"values,omitempty"`
	Message  json.RawMessage     `json:"message,omitempty"`
	Services []*registry.Service `json:"services,omitempty"`
	Event    string              `json:"event,omitempty"`
	Names    []string            `json:"names,omitempty"`
	Errors   []*failure          `json:"errors,omitempty"`
}

// failure is an error as a user of go-micro sees it.
type failure struct {
	Type   string `json:"type"` // of Go
	Id     string `json:"id"`
	Code   int32  `json:"code"`
	Detail string `json:"detail"`
	Status string `json:"status"`
	Grpc   string `json:"grpc"` // the code of gRPC, where go-micro gives gRPC's own error
	Took   int64  `json:"took"` // milliseconds
}

type caller struct {
	registry registry.Registry
	client   client.Client
	watcher  registry.Watcher
	loading  *load
}

func obey(given flags) {
	reg := given.open()
	c := &caller{registry: reg, client: grpc.NewClient(
		client.Registry(reg), client.Selector(selector.NewSelector(selector.Registry(reg))),
	)}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var given order
		if err := json.Unmarshal(lines.Bytes(), &given); err != nil {
			log.Fatal(err)
		}
		say(c.do(given))
	}
}

func (c *caller) do(o order) (a answer) {
	ctx := context.Background()
	if o.Metadata != nil {
		ctx = metadata.NewContext(ctx, o.Metadata)
	}
	var options []client.CallOption
	if o.Timeout > 0 {
		options = append(options, client.WithRequestTimeout(time.Duration(o.Timeout)*time.Millisecond), client.WithRetries(0))
	}
	service := mesh.NewMeshService(o.Service, c.client)
	began := time.Now()
	failed := func(err error) bool {
		if err != nil && err != io.EOF {
			a.Errors = append(a.Errors, describe(err, began))
		}
		return err != nil
	}

	switch o.Do {
	case "who", "act":
		a.Nodes = map[string]int{}
		call := service.Who
		if o.Do == "act" {
			call = service.Act
		}
		for i := 0; i < o.Times; i++ {
			if reply, err := call(ctx, &mesh.Text{}, options...); !failed(err) {
				a.Nodes[reply.Id]++
			}
		}
	case "load": // many calls at once, until "loaded"
		c.loading = newLoad(service)
	case "loaded":
		return c.loading.stop()
	case "count":
		stream, err := service.Count(ctx, &mesh.Number{Value: int64(o.Times)}, options...)
		if failed(err) {
			return
		}
		defer stream.Close()
		for {
			reply, err := stream.Recv()
			if failed(err) {
				return
			}
			a.Numbers = append(a.Numbers, reply.Value)
			if len(a.Numbers) == o.Close {
				return
			}
		}
	case "sum":
		stream, err := service.Sum(ctx, options...)
		if failed(err) {
			return
		}
		defer stream.Close()
		for i := 0; i < o.Times; i++ {
			if failed(stream.Send(&mesh.Number{Value: int64(i)})) {
				return
			}
		}
		if failed(stream.CloseSend()) {
			return
		}
		var total mesh.Number
		if !failed(stream.RecvMsg(&total)) {
			a.Numbers = []int64{total.Value}
		}
	case "talk": // by turns
		stream, err := service.Talk(ctx, options...)
		if failed(err) {
			return
		}
		defer stream.Close()
		for _, text := range o.Texts {
			if failed(stream.Send(&mesh.Text{Value: text})) {
				return
			}
			reply, err := stream.Recv()
			if failed(err) {
				return
			}
			a.Texts = append(a.Texts, reply.Value)
		}
		if o.Close > 0 || failed(stream.CloseSend()) {
			return
		}
		if reply, err := stream.Recv(); !failed(err) {
			a.Texts = append(a.Texts, reply.Value)
			_, err = stream.Recv()
			failed(err)
		}
	case "fail":
		_, err := service.Fail(ctx, read(o.Failure, &mesh.Failure{}), options...)
		failed(err)
	case "fail later":
		stream, err := service.FailLater(ctx, read(o.Failure, &mesh.Failure{}), options...)
		if failed(err) {
			return
		}
		defer stream.Close()
		for {
			reply, err := stream.Recv()
			if failed(err) {
				return
			}
			a.Numbers = append(a.Numbers, reply.Value)
		}
	case "sleep":
		if reply, err := service.Sleep(ctx, read(o.Rest, &mesh.Rest{}), options...); !failed(err) {
			a.Message = write(reply)
		}
	case "headers":
		if reply, err := service.Headers(ctx, &mesh.Text{}, options...); !failed(err) {
			a.Values = reply.Values
		}
	case "stream headers":
		stream, err := service.StreamHeaders(ctx, &mesh.Text{}, options...)
		if failed(err) {
			return
		}
		defer stream.Close()
		if reply, err := stream.Recv(); !failed(err) {
			a.Values = reply.Values
		}
	case "mirror":
		if reply, err := service.Mirror(ctx, read(o.Shapes, &mesh.Shapes{}), options...); !failed(err) {
			a.Message = write(reply)
		}
	case "unknown": // a method that nobody has
		request := c.client.NewRequest(o.Service, "Mesh.Nothing", &mesh.Text{})
		failed(c.client.Call(ctx, request, &mesh.Text{}, options...))
	case "json": // a call in JSON
		request := c.client.NewRequest(o.Service, "Mesh.Who", &mesh.Text{}, client.WithContentType("application/json"))
		reply := &mesh.Node{}
		if !failed(c.client.Call(ctx, request, reply, options...)) {
			a.Nodes = map[string]int{reply.Id: 1}
		}
	case "list": // the nodes of a service
		services, err := listed(c.registry, o.Service)
		failed(err)
		a.Services = services
	case "names": // of all services
		services, err := c.registry.ListServices()
		failed(err)
		for _, each := range services {
			a.Names = append(a.Names, each.Name)
		}
	case "watch": // begins to
		watcher, err := c.registry.Watch(registry.WatchService(o.Service))
		failed(err)
		c.watcher = watcher
	case "next": // waits for a change
		result, err := c.watcher.Next()
		if !failed(err) {
			a.Event, a.Services = result.Action, []*registry.Service{result.Service}
		}
	default:
		log.Fatalf("what is %q?", o.Do)
	}
	return
}

func describe(err error, began time.Time) *failure {
	f := &failure{Type: fmt.Sprintf("%T", err), Took: time.Since(began).Milliseconds(), Detail: err.Error()}
	if s, ok := status.FromError(err); ok { // streams give gRPC's error, with go-micro's inside
		f.Grpc, f.Detail = s.Code().String(), s.Message()
		if details := s.Details(); len(details) > 0 {
			err, _ = details[0].(error)
		}
	}
	if e, ok := err.(*errors.Error); ok {
		f.Id, f.Code, f.Detail, f.Status = e.Id, e.Code, e.Detail, e.Status
	}
	return f
}

func read[M proto.Message](text json.RawMessage, message M) M {
	if err := protojson.Unmarshal(text, message); err != nil {
		log.Fatal(err)
	}
	return message
}

func write(message proto.Message) json.RawMessage {
	text, err := protojson.Marshal(message)
	if err != nil {
		log.Fatal(err)
	}
	return text
}

func merge(into, from proto.Message) { proto.Merge(into, from) }

// load calls without end, with several workers.
type load struct {
	done   atomic.Bool
	group  sync.WaitGroup
	lock   sync.Mutex
	answer answer
}

func newLoad(service mesh.MeshService) *load {
	l := &load{answer: answer{Nodes: map[string]int{}}}
	for i := 0; i < 8; i++ {
		l.group.Add(1)
		go func() {
			defer l.group.Done()
			for !l.done.Load() {
				began := time.Now()
				reply, err := service.Who(context.Background(), &mesh.Text{})
				l.lock.Lock()
				if err != nil {
					l.answer.Errors = append(l.answer.Errors, describe(err, began))
				} else {
					l.answer.Nodes[reply.Id]++
				}
				l.lock.Unlock()
				time.Sleep(time.Millisecond)
			}
		}()
	}
	return l
}

func (l *load) stop() answer {
	l.done.Store(true)
	l.group.Wait()
	return l.answer
}
