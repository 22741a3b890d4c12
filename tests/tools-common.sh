# What the scripts that fetch and build tools share. $TOOLS is where theirs lie.

say() { printf 'tools: %s\n' "$*" >&2; }
die() {
  printf 'tools: error: %s\n' "$*" >&2
  exit 1
}

# lock TOOL: two makes at once (or a test beside a make) must not write the same file. Holds until the next lock.
lock() {
  mkdir -p "$TOOLS"
  command -v flock >/dev/null 2>&1 || return 0
  exec 9>"$TOOLS/$1.lock"
  flock --nonblock 9 && return 0
  say "$1: waiting for another run of tools.sh"
  flock 9
}
