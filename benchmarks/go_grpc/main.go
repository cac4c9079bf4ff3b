// grpc-go beside this project in the benchmarks of the engine: a server, or a load.
//
//	go_grpc server HOST:PORT
//	go_grpc client HOST:PORT
//
// It uses one core, prints READY, answers each line of JSON with one, and ends with its standard input: see
// benchmarks/children.py. Connections have TLS where BENCH_TLS_CERT, BENCH_TLS_KEY and BENCH_TLS_ROOTS name files. A server tells the CPU seconds that it has used. A client makes calls as it is asked to.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand"
	"net"
	"os"
	"runtime"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// item is on the wire what the benchmarks' Item is: its number is an unknown field, which protobuf keeps.
type item = wrapperspb.StringValue

const (
	repeated = 500 // messages of one server stream
	slack    = 5 * time.Second
)

// question is one line that it reads.
type question struct {
	Kind        string
	Concurrency int
	Seconds     float64
	Vary        bool // a deadline and a fresh traceparent on each call, as traced clients send
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("go_grpc server|client HOST:PORT")
	}
	runtime.GOMAXPROCS(1)
	var answer func(question) any
	switch os.Args[1] {
	case "server":
		answer = serve(os.Args[2])
	case "client":
		answer = newLoad(os.Args[2]).answer
	default:
		log.Fatalf("neither server nor client: %s", os.Args[1])
	}
	fmt.Println("READY")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var asked question
		if err := json.Unmarshal(lines.Bytes(), &asked); err != nil {
			log.Fatal(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer(asked)); err != nil {
			log.Fatal(err)
		}
	}
}

func cpu() float64 {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		log.Fatal(err)
	}
	seconds := float64(used.Utime.Sec + used.Stime.Sec)
	return seconds + float64(used.Utime.Usec+used.Stime.Usec)/1e6
}

// The server

func serve(address string) func(question) any {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	options := []grpc.ServerOption{}
	if file := os.Getenv("BENCH_TLS_CERT"); file != "" {
		secured, err := credentials.NewServerTLSFromFile(file, os.Getenv("BENCH_TLS_KEY"))
		must(err)
		options = append(options, grpc.Creds(secured))
	}
	server := grpc.NewServer(options...)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Bench",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Echo", Handler: echo}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Repeat", Handler: repeat, ServerStreams: true},
			{StreamName: "PingPong", Handler: pingPong, ServerStreams: true, ClientStreams: true},
		},
	}, struct{}{})
	go func() { log.Fatal(server.Serve(listener)) }()
	return func(question) any { return cpu() }
}

func echo(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	request := new(item)
	if err := decode(request); err != nil {
		return nil, err
	}
	return request, nil
}

func repeat(_ any, stream grpc.ServerStream) error {
	request := new(item)
	if err := stream.RecvMsg(request); err != nil {
		return err
	}
	for range number(request) {
		if err := stream.SendMsg(request); err != nil {
			return err
		}
	}
	return nil
}

func pingPong(_ any, stream grpc.ServerStream) error {
	for {
		request := new(item)
		if err := stream.RecvMsg(request); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if err := stream.SendMsg(request); err != nil {
			return err
		}
	}
}

func number(message *item) uint64 {
	unknown := message.ProtoReflect().GetUnknown()
	_, _, size := protowire.ConsumeTag(unknown)
	value, _ := protowire.ConsumeVarint(unknown[max(size, 0):])
	return value
}

func numbered(text string, value uint64) *item {
	message := wrapperspb.String(text)
	message.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 2, protowire.VarintType), value))
	return message
}

// The load

type load struct {
	connection *grpc.ClientConn
}

func newLoad(address string) *load {
	secured := insecure.NewCredentials()
	if file := os.Getenv("BENCH_TLS_ROOTS"); file != "" {
		var err error
		secured, err = credentials.NewClientTLSFromFile(file, "")
		must(err)
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(secured))
	if err != nil {
		log.Fatal(err)
	}
	return &load{connection}
}

func (l *load) answer(asked question) any {
	work := map[string]func(time.Time, bool) (int, []float64){"echo": l.echo, "large": l.large, "repeat": l.repeat, "ping_pong": l.pingPong}[asked.Kind]
	var (
		workers   sync.WaitGroup
		lock      sync.Mutex
		count     int
		latencies []float64
	)
	used, start := cpu(), time.Now()
	until := start.Add(time.Duration(asked.Seconds * float64(time.Second)))
	for range asked.Concurrency {
		workers.Go(func() {
			done, took := work(until, asked.Vary)
			lock.Lock()
			defer lock.Unlock()
			count += done
			latencies = append(latencies, took...)
		})
	}
	workers.Wait()
	seconds := time.Since(start).Seconds()
	sort.Float64s(latencies)
	return map[string]float64{
		"count": float64(count), "seconds": seconds, "cpu": cpu() - used,
		"p50": percentile(latencies, 0.5), "p99": percentile(latencies, 0.99),
	}
}

func percentile(sorted []float64, share float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(share*float64(len(sorted)-1))]
}

func call(vary bool) (context.Context, context.CancelFunc) {
	if !vary {
		return context.Background(), func() {}
	}
	parent := fmt.Sprintf("00-%016x%016x-%016x-01", rand.Uint64(), rand.Uint64(), rand.Uint64())
	return context.WithTimeout(metadata.AppendToOutgoingContext(context.Background(), "traceparent", parent), slack)
}

func (l *load) echo(until time.Time, vary bool) (count int, took []float64) {
	return l.unary(numbered("benchmark, 24 bytes.", 1), until, vary)
}

func (l *load) large(until time.Time, vary bool) (count int, took []float64) {
	return l.unary(wrapperspb.String(strings.Repeat("x", 1<<20)), until, vary)
}

func (l *load) unary(request *item, until time.Time, vary bool) (count int, took []float64) {
	for end := time.Now(); end.Before(until); count++ {
		start := end
		ctx, cancel := call(vary)
		if err := l.connection.Invoke(ctx, "/bench.Bench/Echo", request, new(item)); err != nil {
			log.Fatal(err)
		}
		cancel()
		end = time.Now()
		took = append(took, end.Sub(start).Seconds())
	}
	return count, took
}

func (l *load) repeat(until time.Time, vary bool) (count int, _ []float64) {
	request := numbered("benchmark, 24 bytes", repeated)
	for time.Now().Before(until) {
		ctx, cancel := call(vary)
		stream := l.open(ctx, &grpc.StreamDesc{ServerStreams: true}, "/bench.Bench/Repeat")
		must(stream.SendMsg(request))
		must(stream.CloseSend())
		for reply := new(item); ; count++ {
			if err := stream.RecvMsg(reply); err == io.EOF {
				break
			} else if err != nil {
				log.Fatal(err)
			}
		}
		cancel()
	}
	return count, nil
}

func (l *load) pingPong(until time.Time, vary bool) (count int, _ []float64) {
	ctx, cancel := call(false)
	defer cancel()
	stream := l.open(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/bench.Bench/PingPong")
	request, reply := numbered("benchmark, 24 bytes.", 1), new(item)
	for ; time.Now().Before(until); count++ {
		must(stream.SendMsg(request))
		must(stream.RecvMsg(reply))
	}
	must(stream.CloseSend())
	if err := stream.RecvMsg(reply); err != io.EOF {
		log.Fatalf("the stream did not end: %v", err)
	}
	return count, nil
}

func (l *load) open(ctx context.Context, desc *grpc.StreamDesc, method string) grpc.ClientStream {
	stream, err := l.connection.NewStream(ctx, desc, method)
	must(err)
	return stream
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
