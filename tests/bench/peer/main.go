// How long tests of a module take with the Go SDK's proxytest, which runs modules on wazero. Prints nanoseconds, one a line:
// "test N" for a VM of its own and one request, "request N" for each further one.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/proxytest"
	"github.com/tetratelabs/proxy-wasm-go-sdk/proxywasm/types"
)

const (
	tests    = 200
	requests = 2000
)

func main() {
	if len(os.Args) != 2 {
		fail("which module?")
	}
	module, err := os.ReadFile(os.Args[1])
	if err != nil {
		fail(err.Error())
	}
	for range tests {
		began := time.Now()
		stop, host := start(module)
		request(host)
		stop()
		fmt.Println("test", time.Since(began).Nanoseconds())
	}
	stop, host := start(module)
	defer stop()
	for range requests {
		began := time.Now()
		request(host)
		fmt.Println("request", time.Since(began).Nanoseconds())
	}
}

func start(module []byte) (func(), proxytest.HostEmulator) {
	vm, err := proxytest.NewWasmVMContext(module)
	if err != nil {
		fail(err.Error())
	}
	host, reset := proxytest.NewHostEmulator(proxytest.NewEmulatorOption().WithVMContext(vm))
	if host.StartVM() != types.OnVMStartStatusOK || host.StartPlugin() != types.OnPluginStartStatusOK {
		fail("the module does not start")
	}
	stop := func() {
		reset()
		_ = vm.Close()
	}
	return stop, host
}

// The headers are those that the harness is asked with, too.
var headers = [][2]string{
	{":method", "GET"}, {":path", "/api/v1/orders/12345"}, {":authority", "api.example.com"}, {":scheme", "http"},
	{"accept", "application/json"},
}

func request(host proxytest.HostEmulator) {
	id := host.InitializeHttpContext()
	host.CallOnRequestHeaders(id, headers, true)
	host.CallOnResponseHeaders(id, [][2]string{{":status", "200"}}, true)
	if sent := host.GetCurrentRequestHeaders(id); sent[len(sent)-1] != [2]string{"x-bytes", "some"} {
		fail(fmt.Sprint("the module has not done its work: ", sent))
	}
	host.CompleteHttpContext(id)
}

func fail(why string) {
	fmt.Fprintln(os.Stderr, "peer:", why)
	os.Exit(1)
}
