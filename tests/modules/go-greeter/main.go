// A filter in another language than the harness: it greets who names himself, turns away who does not, and counts both.
// Built with `GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared`; it speaks the ABI itself, so it needs no package.
package main

var (
	greeting = "hello"
	greeted  int32
)

func main() {}

//go:wasmexport proxy_abi_version_0_2_1
func abi() {}

//go:wasmexport proxy_on_context_create
func onContextCreate(context, parent int32) {}

//go:wasmexport proxy_on_vm_start
func onVMStart(root, size int32) int32 { return 1 }

//go:wasmexport proxy_on_configure
func onConfigure(root, size int32) int32 {
	if text := configuration(size); text != "" {
		greeting = text
	}
	greeted = defineCounter("greeted")
	return 1
}

//go:wasmexport proxy_on_request_headers
func onRequestHeaders(context, count, end int32) int32 {
	name, known := header(requestHeaders, "x-name")
	if !known {
		reply(403, "who are you?")
		return 1
	}
	if name == "nobody" {
		greetNobody()
	}
	log("greeting " + name)
	proxyIncrementMetric(greeted, 1)
	setHeader(requestHeaders, "x-greeting", greeting+" "+name)
	return 0
}

// What a crash looks like from outside.
func greetNobody() {
	panic("nobody is there")
}

//go:wasmexport proxy_on_response_headers
func onResponseHeaders(context, count, end int32) int32 {
	setHeader(responseHeaders, "x-powered-by", "go")
	return 0
}
