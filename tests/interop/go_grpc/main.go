// gRPC's interoperability cases, as grpc-go implements them, and the compressed ones, which it leaves out.
//
//	go_grpc serve [-cert FILE -key FILE] [-alpha]           prints its address, and serves until its input ends
//	go_grpc call ADDRESS [-roots FILE] CASE [CASE ...]      prints "passed CASE" for each; ends with an error at the first that fails
//
// The cases: https://github.com/grpc/grpc/blob/master/doc/interop-test-descriptions.md
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/reflection"
	alphapb "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
)

const (
	limit        = 60 * time.Second
	soakCalls    = 100
	soakChannels = 10
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: go_grpc serve | call ADDRESS CASE ...")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	switch os.Args[1] {
	case "serve":
		cert, key := flags.String("cert", "", "file"), flags.String("key", "", "file")
		alpha := flags.Bool("alpha", false, "serve reflection v1alpha alone")
		_ = flags.Parse(os.Args[2:])
		serve(*cert, *key, *alpha)
	case "call":
		roots := flags.String("roots", "", "file")
		_ = flags.Parse(os.Args[3:])
		call(os.Args[2], *roots, flags.Args())
	default:
		log.Fatalf("there is no %q", os.Args[1])
	}
}

type receivedKey struct{}

// received says which messages of a call came compressed.
type received struct {
	lock       sync.Mutex
	compressed []bool
}

func (r *received) take() bool {
	r.lock.Lock()
	defer r.lock.Unlock()
	first := r.compressed[0]
	r.compressed = r.compressed[1:]
	return first
}

// recorder notes of each message whether it came compressed: a message that is not has the same length before and after.
type recorder struct{}

func (recorder) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	if ctx.Value(receivedKey{}) != nil {
		return ctx // A client's call that looks at it itself.
	}
	return context.WithValue(ctx, receivedKey{}, &received{})
}

func (recorder) HandleRPC(ctx context.Context, about stats.RPCStats) {
	if in, ok := about.(*stats.InPayload); ok {
		r := ctx.Value(receivedKey{}).(*received)
		r.lock.Lock()
		r.compressed = append(r.compressed, in.CompressedLength != in.Length)
		r.lock.Unlock()
	}
}

func (recorder) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (recorder) HandleConn(context.Context, stats.ConnStats)                       {}

// server adds to grpc-go's own server what the compressed cases need.
type server struct {
	testpb.TestServiceServer
}

func checked(ctx context.Context, expected *testpb.BoolValue) error {
	came := ctx.Value(receivedKey{}).(*received).take()
	if expected != nil && expected.Value != came {
		return status.Errorf(codes.InvalidArgument, "compressed: %v; expected: %v", came, expected.Value)
	}
	return nil
}

func (s server) UnaryCall(ctx context.Context, in *testpb.SimpleRequest) (*testpb.SimpleResponse, error) {
	if err := checked(ctx, in.ExpectCompressed); err != nil {
		return nil, err
	}
	if in.ResponseCompressed.GetValue() {
		if err := grpc.SetSendCompressor(ctx, gzip.Name); err != nil {
			return nil, err
		}
	}
	return s.TestServiceServer.UnaryCall(ctx, in)
}

func (s server) StreamingInputCall(stream testpb.TestService_StreamingInputCallServer) error {
	var sum int32
	for {
		in, err := stream.Recv()
		if err == io.EOF {
			return stream.SendAndClose(&testpb.StreamingInputCallResponse{AggregatedPayloadSize: sum})
		}
		if err != nil {
			return err
		}
		if err := checked(stream.Context(), in.ExpectCompressed); err != nil {
			return err
		}
		sum += int32(len(in.GetPayload().GetBody()))
	}
}

func (s server) StreamingOutputCall(in *testpb.StreamingOutputCallRequest, stream testpb.TestService_StreamingOutputCallServer) error {
	for _, parameters := range in.ResponseParameters {
		// grpc-go compresses all messages of a stream, or none.
		if parameters.Compressed.GetValue() {
			_ = grpc.SetSendCompressor(stream.Context(), gzip.Name)
		}
	}
	return s.TestServiceServer.StreamingOutputCall(in, stream)
}

func serve(cert, key string, alpha bool) {
	options := []grpc.ServerOption{grpc.StatsHandler(recorder{})}
	if cert != "" {
		secured, err := credentials.NewServerTLSFromFile(cert, key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(secured))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := grpc.NewServer(options...)
	testpb.RegisterTestServiceServer(s, server{interop.NewTestServer()})
	if alpha {
		alphapb.RegisterServerReflectionServer(s, reflection.NewServer(reflection.ServerOptions{Services: s}))
	} else {
		reflection.Register(s)
	}
	go func() {
		_, _ = io.Copy(io.Discard, bufio.NewReader(os.Stdin))
		s.Stop()
	}()
	fmt.Println(listener.Addr())
	if err := s.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

func call(address, roots string, cases []string) {
	secured := insecure.NewCredentials()
	if roots != "" {
		var err error
		if secured, err = credentials.NewClientTLSFromFile(roots, ""); err != nil {
			log.Fatal(err)
		}
	}
	connect := func() *grpc.ClientConn {
		connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(secured), grpc.WithStatsHandler(recorder{}))
		if err != nil {
			log.Fatal(err)
		}
		return connection
	}
	connection := connect()
	defer connection.Close()
	client := testpb.NewTestServiceClient(connection)
	plain := func(do func(context.Context, testpb.TestServiceClient, ...grpc.CallOption)) func(context.Context) {
		return func(ctx context.Context) { do(ctx, client) }
	}
	known := map[string]func(context.Context){
		"empty_unary":                 plain(interop.DoEmptyUnaryCall),
		"large_unary":                 plain(interop.DoLargeUnaryCall),
		"client_streaming":            plain(interop.DoClientStreaming),
		"server_streaming":            plain(interop.DoServerStreaming),
		"ping_pong":                   plain(interop.DoPingPong),
		"empty_stream":                plain(interop.DoEmptyStream),
		"custom_metadata":             plain(interop.DoCustomMetadata),
		"status_code_and_message":     plain(interop.DoStatusCodeAndMessage),
		"special_status_message":      plain(interop.DoSpecialStatusMessage),
		"cancel_after_begin":          plain(interop.DoCancelAfterBegin),
		"cancel_after_first_response": plain(interop.DoCancelAfterFirstResponse),
		"timeout_on_sleeping_server":  plain(interop.DoTimeoutOnSleepingServer),
		"unimplemented_method":        func(ctx context.Context) { interop.DoUnimplementedMethod(ctx, connection) },
		"unimplemented_service": func(ctx context.Context) {
			interop.DoUnimplementedService(ctx, testpb.NewUnimplementedServiceClient(connection))
		},
		"rpc_soak": func(ctx context.Context) {
			for range soakCalls {
				interop.DoLargeUnaryCall(ctx, client)
			}
		},
		"channel_soak": func(ctx context.Context) {
			for range soakChannels {
				other := connect()
				interop.DoLargeUnaryCall(ctx, testpb.NewTestServiceClient(other))
				_ = other.Close()
			}
		},
		"client_compressed_unary":     func(ctx context.Context) { clientCompressedUnary(ctx, client) },
		"server_compressed_unary":     func(ctx context.Context) { serverCompressedUnary(ctx, client) },
		"client_compressed_streaming": func(ctx context.Context) { clientCompressedStreaming(ctx, client) },
		"server_compressed_streaming": func(ctx context.Context) { serverCompressedStreaming(ctx, client) },
	}
	for _, name := range cases {
		do, ok := known[name]
		if !ok {
			log.Fatalf("there is no case %q", name)
		}
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		do(ctx)
		cancel()
		fmt.Println("passed", name)
	}
}

func yes(value bool) *testpb.BoolValue { return &testpb.BoolValue{Value: value} }

func payload(size int) *testpb.Payload {
	return interop.ClientNewPayload(testpb.PayloadType_COMPRESSABLE, size)
}

func clientCompressedUnary(ctx context.Context, client testpb.TestServiceClient) {
	ask := func(expect bool, options ...grpc.CallOption) error {
		reply, err := client.UnaryCall(ctx, &testpb.SimpleRequest{
			ExpectCompressed: yes(expect), ResponseSize: 314159, Payload: payload(271828),
		}, options...)
		if err == nil && len(reply.GetPayload().GetBody()) != 314159 {
			log.Fatalf("client_compressed_unary: a reply of %d bytes", len(reply.GetPayload().GetBody()))
		}
		return err
	}
	if err := ask(true); status.Code(err) != codes.InvalidArgument {
		log.Fatalf("client_compressed_unary: the probe ended with %v", err)
	}
	if err := ask(true, grpc.UseCompressor(gzip.Name)); err != nil {
		log.Fatalf("client_compressed_unary, compressed: %v", err)
	}
	if err := ask(false); err != nil {
		log.Fatalf("client_compressed_unary, not compressed: %v", err)
	}
}

func serverCompressedUnary(ctx context.Context, client testpb.TestServiceClient) {
	for _, compressed := range []bool{true, false} {
		seen := &received{}
		reply, err := client.UnaryCall(context.WithValue(ctx, receivedKey{}, seen), &testpb.SimpleRequest{
			ResponseCompressed: yes(compressed), ResponseSize: 314159, Payload: payload(271828),
		})
		if err != nil || len(reply.GetPayload().GetBody()) != 314159 {
			log.Fatalf("server_compressed_unary: %v", err)
		}
		if seen.take() != compressed {
			log.Fatalf("server_compressed_unary: the reply should be compressed: %v", compressed)
		}
	}
}

func clientCompressedStreaming(ctx context.Context, client testpb.TestServiceClient) {
	probe, err := client.StreamingInputCall(ctx)
	if err != nil {
		log.Fatalf("client_compressed_streaming: %v", err)
	}
	_ = probe.Send(&testpb.StreamingInputCallRequest{ExpectCompressed: yes(true), Payload: payload(27182)})
	if _, err := probe.CloseAndRecv(); status.Code(err) != codes.InvalidArgument {
		log.Fatalf("client_compressed_streaming: the probe ended with %v", err)
	}
	stream, err := client.StreamingInputCall(ctx, grpc.UseCompressor(gzip.Name))
	if err != nil {
		log.Fatalf("client_compressed_streaming: %v", err)
	}
	// grpc-go compresses all messages of a stream, or none.
	for _, size := range []int{27182, 45904} {
		if err := stream.Send(&testpb.StreamingInputCallRequest{ExpectCompressed: yes(true), Payload: payload(size)}); err != nil {
			log.Fatalf("client_compressed_streaming: %v", err)
		}
	}
	reply, err := stream.CloseAndRecv()
	if err != nil || reply.GetAggregatedPayloadSize() != 73086 {
		log.Fatalf("client_compressed_streaming: %v, %v", reply, err)
	}
}

func serverCompressedStreaming(ctx context.Context, client testpb.TestServiceClient) {
	seen := &received{}
	stream, err := client.StreamingOutputCall(context.WithValue(ctx, receivedKey{}, seen), &testpb.StreamingOutputCallRequest{
		ResponseParameters: []*testpb.ResponseParameters{
			{Compressed: yes(true), Size: 31415}, {Compressed: yes(false), Size: 92653},
		},
	})
	if err != nil {
		log.Fatalf("server_compressed_streaming: %v", err)
	}
	for index, size := range []int{31415, 92653} {
		reply, err := stream.Recv()
		if err != nil || len(reply.GetPayload().GetBody()) != size {
			log.Fatalf("server_compressed_streaming: %v", err)
		}
		if compressed := index == 0; seen.take() != compressed {
			log.Fatalf("server_compressed_streaming: reply %d should be compressed: %v", index, compressed)
		}
	}
	if _, err := stream.Recv(); err != io.EOF {
		log.Fatalf("server_compressed_streaming: %v", err)
	}
}
