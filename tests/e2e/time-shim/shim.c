// Moves the clocks of the process that preloads it, by offsets that another process writes into a shared file.
//
// The clock functions run before main, inside the allocator and in signal handlers. Hence raw system calls only: no
// allocation and no dlsym (libfaketime, which has both, makes Envoy hang at start).
//
// Timers are fired by the event loops, which sleep in epoll_wait for a time computed before the clock moved. So
// epoll_wait returns early, as if it had timed out, once the offsets change: the loop then looks at its clock again
// and finds its timers due.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_SECOND 1000000000LL
#define MS_PER_LOOK 5 // how often a sleeping event loop looks whether the clocks have moved

#define MS_PER_LOOK_FROZEN 1
// While somebody asks whether the loops rest, they look so often, for so many looks.
#define NS_PER_EAGER_LOOK 100000
#define EAGER_LOOKS 50

// What an event loop says of itself while the clocks stand still.
struct loop {
  _Atomic int64_t due_ns;   // when its next timer is due; INT64_MAX: none is
  _Atomic int64_t seen_ns;  // what the clock showed when the loop last looked at it
  _Atomic int64_t turns;    // odd while it sleeps, even while it works; only ever counts up
  _Atomic int64_t answered; // the last question that it answered: asleep, and nothing to do
};

#define MOST_LOOPS 64 // clock.rs knows the number, too

struct offsets { // the file; clock.rs writes it
  _Atomic int64_t wall_ns;
  _Atomic int64_t monotonic_ns;
  // What the clocks show as long as they stand still; 0 while they run.
  _Atomic int64_t wall_shown_ns;
  _Atomic int64_t monotonic_shown_ns;
  // Counts up with each question whether the loops rest.
  _Atomic int64_t question;
  // How many loops there are; the rest is theirs to write.
  _Atomic int64_t loops;
  struct loop loop[MOST_LOOPS];
};

static _Atomic(struct offsets *) shared; // null: the clocks are the system's

__attribute__((constructor)) static void map_offsets(void) {
  const char *path = getenv("PORTCULLIS_CLOCK_FILE");
  if (path == NULL) return;
  int file = open(path, O_RDWR | O_CLOEXEC);
  void *page = mmap(NULL, sizeof(struct offsets), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (file < 0 || page == MAP_FAILED) {
    perror("time-shim: cannot map PORTCULLIS_CLOCK_FILE");
    _exit(127);
  }
  close(file);
  atomic_store(&shared, page);
}

static int64_t offset_of(clockid_t clock) {
  struct offsets *offsets = atomic_load_explicit(&shared, memory_order_acquire);
  if (offsets == NULL) return 0;
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
      return atomic_load(&offsets->wall_ns);
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
      return atomic_load(&offsets->monotonic_ns);
    default:
      return 0; // CPU time does not travel
  }
}

// What the clock shows if it stands still, else 0.
static int64_t shown_by(clockid_t clock) {
  struct offsets *offsets = atomic_load_explicit(&shared, memory_order_acquire);
  if (offsets == NULL) return 0;
  switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_TAI:
      return atomic_load(&offsets->wall_shown_ns);
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
      return atomic_load(&offsets->monotonic_shown_ns);
    default:
      return 0;
  }
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  int64_t shown = shown_by(clock);
  if (shown != 0) {
    now->tv_sec = shown / NS_PER_SECOND;
    now->tv_nsec = shown % NS_PER_SECOND;
    return 0;
  }
  if (syscall(SYS_clock_gettime, clock, now) != 0) return -1;
  int64_t offset = offset_of(clock);
  int64_t ns = now->tv_nsec + offset % NS_PER_SECOND;
  now->tv_sec += offset / NS_PER_SECOND + (ns >= NS_PER_SECOND) - (ns < 0);
  now->tv_nsec = ns + (ns < 0 ? NS_PER_SECOND : 0) - (ns >= NS_PER_SECOND ? NS_PER_SECOND : 0);
  return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone; // obsolete; nobody asks for it
  struct timespec exact;
  if (clock_gettime(CLOCK_REALTIME, &exact) != 0) return -1;
  now->tv_sec = exact.tv_sec;
  now->tv_usec = exact.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *copy) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  if (copy != NULL) *copy = now.tv_sec;
  return now.tv_sec;
}

static int sleep_in_epoll(int epoll, struct epoll_event *events, int room, int ms) {
  return (int)syscall(SYS_epoll_pwait, epoll, events, room, ms, NULL, (size_t)(_NSIG / 8));
}

// The position of the clocks when this thread's loop last left epoll_wait: it has read its clock since, not before. Static storage, for
// the lazily allocated kind may not be touched here.
static _Thread_local int64_t offset_seen __attribute__((tls_model("initial-exec")));

static int clocks_moved(void) {
  int64_t shown = shown_by(CLOCK_MONOTONIC);
  int64_t offset = shown != 0 ? shown : offset_of(CLOCK_MONOTONIC);
  int moved = offset != offset_seen;
  offset_seen = offset;
  return moved;
}

// This thread's loop; null if there are too many. A thread that never had a timer is none of Envoy's (each of those has a
// watchdog): libraries hand their polling from thread to thread, and one that has left may never come back.
static struct loop *own_loop(struct offsets *offsets, int timeout_ms) {
  static _Thread_local int64_t number __attribute__((tls_model("initial-exec"))); // from 1; 0: none yet
  if (number == 0 && timeout_ms < 0) return NULL;
  if (number == 0) number = atomic_fetch_add(&offsets->loops, 1) + 1;
  return number <= MOST_LOOPS ? &offsets->loop[number - 1] : NULL;
}

static int sleep_shortly(int epoll, struct epoll_event *events, int room, int *eager) {
  if (*eager == 0) return sleep_in_epoll(epoll, events, room, MS_PER_LOOK_FROZEN);
  *eager -= 1;
  struct timespec look = {0, NS_PER_EAGER_LOOK};
  int ready = (int)syscall(SYS_epoll_pwait2, epoll, events, room, &look, NULL, (size_t)(_NSIG / 8));
  if (ready >= 0 || errno != ENOSYS) return ready;
  return sleep_in_epoll(epoll, events, room, MS_PER_LOOK_FROZEN);
}

// While the clocks stand still no time-out comes any nearer: only events, or a clock that has moved, end the sleep.
static int wait_frozen(struct offsets *offsets, int epoll, struct epoll_event *events, int room, int timeout_ms) {
  // The time-out was computed with the clock of then.
  if (clocks_moved() || timeout_ms == 0) return sleep_in_epoll(epoll, events, room, 0);
  struct loop *own = own_loop(offsets, timeout_ms);
  if (own == NULL) return sleep_in_epoll(epoll, events, room, MS_PER_LOOK_FROZEN);
  atomic_store(&own->due_ns, timeout_ms < 0 ? INT64_MAX : offset_seen + timeout_ms * (NS_PER_SECOND / 1000));
  atomic_store(&own->seen_ns, offset_seen);
  atomic_fetch_add(&own->turns, 1);
  int eager = EAGER_LOOKS, ready = 0;
  for (;;) {
    int64_t question = atomic_load(&offsets->question);
    // Whoever asks has moved the clock before.
    if (clocks_moved()) break;
    ready = sleep_in_epoll(epoll, events, room, 0);
    if (ready != 0) break;
    if (atomic_exchange(&own->answered, question) != question) eager = EAGER_LOOKS;
    ready = sleep_shortly(epoll, events, room, &eager);
    if (ready != 0) break;
  }
  atomic_fetch_add(&own->turns, 1);
  return ready;
}

int epoll_wait(int epoll, struct epoll_event *events, int room, int timeout_ms) {
  if (shown_by(CLOCK_MONOTONIC) != 0) return wait_frozen(atomic_load(&shared), epoll, events, room, timeout_ms);
  for (;;) {
    int look = clocks_moved() ? 0 : MS_PER_LOOK;
    if (timeout_ms >= 0 && timeout_ms < look) look = timeout_ms;
    int ready = sleep_in_epoll(epoll, events, room, look);
    if (ready != 0 || look == 0) return ready;
    if (timeout_ms > 0 && (timeout_ms -= look) == 0) return 0;
  }
}
