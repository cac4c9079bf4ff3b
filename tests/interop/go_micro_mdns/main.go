// Command go_micro_mdns is go-micro's own mDNS registry on the command line, for the tests of ours.
//
//	go_micro_mdns register SERVICE   one line "registered"; deregisters when standard input ends
//	go_micro_mdns get NAME           one line of JSON: the services of a name
//	go_micro_mdns list               one line of JSON: all names
//	go_micro_mdns watch [NAME]       one line of JSON for each change, after a line "watching"
//
// SERVICE is the JSON of a registry.Service.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"go-micro.dev/v5/registry"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return fmt.Errorf("usage: go_micro_mdns register SERVICE | get NAME | list | watch [NAME]")
	}
	mdns := registry.NewMDNSRegistry()
	out := json.NewEncoder(os.Stdout)
	switch arguments[0] {
	case "register":
		var service registry.Service
		if err := json.Unmarshal([]byte(arguments[1]), &service); err != nil {
			return err
		}
		if err := mdns.Register(&service); err != nil {
			return err
		}
		fmt.Println("registered")
		io.Copy(io.Discard, os.Stdin)
		if err := mdns.Deregister(&service); err != nil {
			return err
		}
		fmt.Println("deregistered")
		return nil
	case "get":
		services, err := mdns.GetService(arguments[1])
		if err != nil {
			return err
		}
		return out.Encode(services)
	case "list":
		services, err := mdns.ListServices()
		if err != nil {
			return err
		}
		return out.Encode(services)
	case "watch":
		var options []registry.WatchOption
		if len(arguments) > 1 {
			options = append(options, registry.WatchService(arguments[1]))
		}
		watcher, err := mdns.Watch(options...)
		if err != nil {
			return err
		}
		fmt.Println("watching")
		for {
			result, err := watcher.Next()
			if err != nil {
				return err
			}
			if err := out.Encode(result); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("no such command: %s", arguments[0])
}
