// Lets the process that preloads it look names up at PORTCULLIS_NAME_SERVER (`127.0.0.1:5353`), and nowhere else: Envoy's resolver
// reads where to ask from /etc/resolv.conf, and gets this in its place.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef FILE *(*opener)(const char *, const char *);

static FILE *resolver_file(void) {
  const char *server = getenv("PORTCULLIS_NAME_SERVER");
  if (server == NULL) return NULL;
  static _Thread_local char text[128];
  int length = snprintf(text, sizeof text, "nameserver %s\noptions ndots:0\n", server);
  if (length <= 0 || (size_t)length >= sizeof text) return NULL;
  return fmemopen(text, (size_t)length, "r");
}

static FILE *open_with(const char *name, const char *path, const char *mode) {
  if (path != NULL && strcmp(path, "/etc/resolv.conf") == 0) {
    FILE *file = resolver_file();
    if (file != NULL) return file;
  }
  opener real = (opener)dlsym(RTLD_NEXT, name);
  return real == NULL ? NULL : real(path, mode);
}

FILE *fopen(const char *path, const char *mode) { return open_with("fopen", path, mode); }

FILE *fopen64(const char *path, const char *mode) { return open_with("fopen64", path, mode); }
