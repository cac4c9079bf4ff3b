package main

import (
	"context"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"go-micro.dev/v5/registry"
	"go-micro.dev/v5/selector"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// load calls one service without end, and notes where each attempt goes and which nodes the selector knows.
type load struct {
	caller *caller
	name   string
	done   atomic.Bool
	group  sync.WaitGroup

	lock     sync.Mutex
	attempts map[string][]float64 // by address
	calls    []outcome
	seen     map[string]float64 // when each address was known last
	present  []string
}

type outcome struct {
	ended  float64
	failed bool
}

func newLoad(c *caller, asked question) *load {
	l := &load{caller: c, name: asked.Name, attempts: map[string][]float64{}, seen: map[string]float64{}}
	pause := time.Duration(asked.Pause * float64(time.Second))
	work := func(step func(), pause time.Duration) {
		l.group.Add(1)
		go func() {
			defer l.group.Done()
			for ; !l.done.Load(); time.Sleep(pause) {
				step()
			}
		}()
	}
	c.loading = l
	for range asked.Workers {
		work(l.call, pause)
	}
	work(l.look, 10*time.Millisecond)
	return l
}

func (l *load) call() {
	request := l.caller.client.NewRequest(l.name, "Bench.Echo", wrapperspb.String("benchmark, 24 bytes."))
	err := l.caller.client.Call(context.Background(), request, &wrapperspb.StringValue{})
	l.lock.Lock()
	defer l.lock.Unlock()
	l.calls = append(l.calls, outcome{now(), err != nil})
}

func (l *load) look() {
	var present []string
	_, err := l.caller.selector.Select(l.name, selector.WithFilter(func(services []*registry.Service) []*registry.Service {
		for _, service := range services {
			for _, node := range service.Nodes {
				present = append(present, node.Address)
			}
		}
		return services
	}))
	if err != nil {
		log.Print(err)
	}
	l.lock.Lock()
	defer l.lock.Unlock()
	l.present = present
	for _, address := range present {
		l.seen[address] = now()
	}
}

func (l *load) note(address string) {
	l.lock.Lock()
	defer l.lock.Unlock()
	l.attempts[address] = append(l.attempts[address], now())
}

func (l *load) view() []string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return append([]string{}, l.present...)
}

func (l *load) stop(asked question) any {
	l.done.Store(true)
	l.group.Wait()
	attempts := []float64{}
	for _, at := range l.attempts[asked.Address] {
		if at > asked.Since {
			attempts = append(attempts, at-asked.Since)
		}
	}
	calls, failed := 0, 0
	for _, each := range l.calls {
		if each.ended > asked.Since {
			calls++
			if each.failed {
				failed++
			}
		}
	}
	return map[string]any{
		"attempts": attempts, "gone": l.seen[asked.Address] - asked.Since,
		"calls": calls, "failed": failed, "seconds": now() - asked.Since,
	}
}

func now() float64 { return float64(time.Now().UnixNano()) / 1e9 }

// cost returns the CPU nanoseconds of selecting a node among so many, when the cache holds them.
func (c *caller) cost(nodes int, seconds float64) float64 {
	name := fmt.Sprintf("of-%d", nodes)
	if _, err := c.registry.GetService(name); err != nil {
		service := &registry.Service{Name: name, Version: "latest"}
		for i := range nodes {
			service.Nodes = append(service.Nodes, &registry.Node{
				Id: fmt.Sprintf("%s-%d", name, i), Address: fmt.Sprintf("127.0.0.1:%d", i),
				Metadata: map[string]string{"protocol": "grpc", "registry": "memory", "server": "grpc", "transport": "grpc"},
			})
		}
		if err := c.registry.Register(service); err != nil {
			log.Fatal(err)
		}
		c.pick(name)
		time.Sleep(200 * time.Millisecond) // it begins to watch
	}
	c.pick(name)
	began, count := spent(), 0
	for spent()-began < seconds {
		for range 10 {
			c.pick(name)
		}
		count += 10
	}
	return (spent() - began) / float64(count) * 1e9
}

// spent returns the CPU seconds of all threads, the garbage collector's with them.
func spent() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		log.Fatal(err)
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}
