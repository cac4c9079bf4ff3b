package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"strings"
	"sync"
	"time"

	"go-micro.dev/v5"
	"go-micro.dev/v5/client"
	"go-micro.dev/v5/errors"
	"go-micro.dev/v5/metadata"
	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/server"
	"go-micro.dev/v5/server/grpc"

	"interop/mesh"
)

// serve runs a node until it is told to stop.
func serve(given flags) {
	reg := given.open()
	newServer := grpc.NewServer
	if given.protocol == "mucp" {
		newServer = server.NewServer
	}
	srv := newServer(
		server.Name(given.name), server.Version(given.version), server.Metadata(given.pairs()),
		server.Registry(reg), server.Address("127.0.0.1:0"),
		server.RegisterTTL(given.ttl), server.RegisterInterval(given.ttl/3), // without a TTL, go-micro's etcd registry panics
	)
	id := given.name + "-" + srv.Options().Id
	node := &Mesh{id: id}
	if err := mesh.RegisterMeshHandler(srv, node); err != nil {
		log.Fatal(err)
	}
	service := micro.NewService(micro.Server(srv), micro.Client(client.NewClient()), micro.AfterStart(func() error {
		say(map[string]string{"id": id, "address": srv.Options().Address})
		return nil
	}))
	if err := service.Run(); err != nil {
		log.Fatal(err)
	}
}

// Mesh is what go-micro's node serves.
type Mesh struct {
	id       string
	lock     sync.Mutex
	sleepers []*mesh.Rest
}

func (m *Mesh) Who(_ context.Context, _ *mesh.Text, reply *mesh.Node) error {
	reply.Id, reply.Language = m.id, "go"
	return nil
}

func (m *Mesh) Act(ctx context.Context, request *mesh.Text, reply *mesh.Node) error {
	time.Sleep(5 * time.Millisecond)
	return m.Who(ctx, request, reply)
}

func (m *Mesh) Count(ctx context.Context, request *mesh.Number, stream mesh.Mesh_CountStream) error {
	for value := int64(0); value != request.Value; value++ {
		if err := stream.Send(&mesh.Number{Value: value}); err != nil {
			m.ended("count", "stopped", 0)
			return err
		}
		if request.Value < 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	return nil
}

func (m *Mesh) Sum(_ context.Context, stream mesh.Mesh_SumStream) error {
	total := int64(0)
	for {
		number, err := stream.Recv()
		if err == io.EOF {
			return stream.SendMsg(&mesh.Number{Value: total})
		} else if err != nil {
			return err
		}
		total += number.Value
	}
}

func (m *Mesh) Talk(_ context.Context, stream mesh.Mesh_TalkStream) error {
	for {
		text, err := stream.Recv()
		if err == io.EOF {
			return stream.Send(&mesh.Text{Value: "bye"})
		} else if err != nil {
			m.ended("talk", "stopped", 0)
			return err
		}
		if text.Value == "fail" {
			return errors.Conflict("mesh.talk", "told to fail")
		}
		if err := stream.Send(&mesh.Text{Value: "re: " + text.Value}); err != nil {
			return err
		}
	}
}

func (m *Mesh) Fail(_ context.Context, request *mesh.Failure, _ *mesh.Text) error {
	switch request.Kind {
	case "plain":
		return fmt.Errorf("%s", request.Detail)
	case "panic":
		panic(request.Detail)
	}
	return errors.New(request.Id, request.Detail, request.Code)
}

func (m *Mesh) FailLater(ctx context.Context, request *mesh.Failure, stream mesh.Mesh_FailLaterStream) error {
	if err := stream.Send(&mesh.Number{Value: 1}); err != nil {
		return err
	}
	return m.Fail(ctx, request, nil)
}

func (m *Mesh) Sleep(ctx context.Context, request *mesh.Rest, reply *mesh.Rest) error {
	remaining := int64(-1)
	if deadline, ok := ctx.Deadline(); ok {
		remaining = time.Until(deadline).Milliseconds()
	}
	reply.Name, reply.Milliseconds, reply.Remaining, reply.End = request.Name, request.Milliseconds, remaining, "slept"
	select {
	case <-time.After(time.Duration(request.Milliseconds) * time.Millisecond):
		m.ended(request.Name, "slept", remaining)
		return nil
	case <-ctx.Done():
		m.ended(request.Name, "stopped", remaining)
		return ctx.Err()
	}
}

func (m *Mesh) Sleepers(_ context.Context, _ *mesh.Text, reply *mesh.Rests) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	reply.Rests = append(reply.Rests, m.sleepers...)
	return nil
}

func (m *Mesh) ended(name, end string, remaining int64) {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.sleepers = append(m.sleepers, &mesh.Rest{Name: name, End: end, Remaining: remaining})
}

func (m *Mesh) Headers(ctx context.Context, _ *mesh.Text, reply *mesh.Pairs) error {
	reply.Values = map[string]string{}
	if pairs, ok := metadata.FromContext(ctx); ok {
		for key, value := range pairs {
			reply.Values[strings.ToLower(key)] = value
		}
	}
	return nil
}

func (m *Mesh) StreamHeaders(ctx context.Context, request *mesh.Text, stream mesh.Mesh_StreamHeadersStream) error {
	var reply mesh.Pairs
	_ = m.Headers(ctx, request, &reply)
	return stream.Send(&reply)
}

func (m *Mesh) Mirror(_ context.Context, request *mesh.Shapes, reply *mesh.Shapes) error {
	merge(reply, request)
	return nil
}

// listed is what go-micro's registry says about a service.
func listed(reg registry.Registry, name string) ([]*registry.Service, error) {
	services, err := reg.GetService(name)
	if err == registry.ErrNotFound {
		return nil, nil
	}
	return services, err
}
