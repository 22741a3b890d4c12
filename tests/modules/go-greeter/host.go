package main

import "unsafe"

// The host functions that this module needs, as the ABI has them. Pointers and lengths are 32 bits wide.

//go:wasmimport env proxy_log
func proxyLog(level int32, text unsafe.Pointer, size int32) int32

//go:wasmimport env proxy_get_header_map_value
func proxyGetHeader(headers int32, name unsafe.Pointer, nameSize int32, value unsafe.Pointer, valueSize unsafe.Pointer) int32

//go:wasmimport env proxy_replace_header_map_value
func proxySetHeader(headers int32, name unsafe.Pointer, nameSize int32, value unsafe.Pointer, valueSize int32) int32

//go:wasmimport env proxy_send_local_response
func proxyReply(code int32, details unsafe.Pointer, detailsSize int32, body unsafe.Pointer, bodySize int32,
	headers unsafe.Pointer, headersSize int32, grpc int32) int32

//go:wasmimport env proxy_get_buffer_bytes
func proxyGetBuffer(buffer int32, start int32, size int32, bytes unsafe.Pointer, bytesSize unsafe.Pointer) int32

//go:wasmimport env proxy_define_metric
func proxyDefineMetric(kind int32, name unsafe.Pointer, nameSize int32, id unsafe.Pointer) int32

//go:wasmimport env proxy_increment_metric
func proxyIncrementMetric(id int32, by int64) int32

const (
	requestHeaders      = 0
	responseHeaders     = 2
	pluginConfiguration = 7
	info                = 2
	counter             = 0
)

// What the host has been given to write into stays reachable until it has been read.
var given = map[uintptr][]byte{}

//go:wasmexport proxy_on_memory_allocate
func allocate(size int32) unsafe.Pointer {
	buffer := make([]byte, max(size, 1))
	pointer := unsafe.Pointer(&buffer[0])
	given[uintptr(pointer)] = buffer
	return pointer
}

// take hands over the bytes that the host has written, "" for none.
func take(pointer uint32, size int32) string {
	buffer, known := given[uintptr(pointer)]
	if !known {
		return ""
	}
	delete(given, uintptr(pointer))
	return string(buffer[:size])
}

func data(text string) (unsafe.Pointer, int32) {
	return unsafe.Pointer(unsafe.StringData(text)), int32(len(text))
}

func log(text string) {
	pointer, size := data(text)
	proxyLog(info, pointer, size)
}

// header is the first value of a name, and whether there is one.
func header(headers int32, name string) (string, bool) {
	var pointer uint32
	var size int32
	namePointer, nameSize := data(name)
	status := proxyGetHeader(headers, namePointer, nameSize, unsafe.Pointer(&pointer), unsafe.Pointer(&size))
	return take(pointer, size), status == 0
}

func setHeader(headers int32, name, value string) {
	namePointer, nameSize := data(name)
	valuePointer, valueSize := data(value)
	proxySetHeader(headers, namePointer, nameSize, valuePointer, valueSize)
}

func reply(code int32, body string) {
	bodyPointer, bodySize := data(body)
	proxyReply(code, nil, 0, bodyPointer, bodySize, nil, 0, -1)
}

func configuration(size int32) string {
	var pointer uint32
	var got int32
	proxyGetBuffer(pluginConfiguration, 0, size, unsafe.Pointer(&pointer), unsafe.Pointer(&got))
	return take(pointer, got)
}

func defineCounter(name string) int32 {
	var id int32
	pointer, size := data(name)
	proxyDefineMetric(counter, pointer, size, unsafe.Pointer(&id))
	return id
}
