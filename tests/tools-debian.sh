# Debian's packages, unpacked into .tools: nothing is installed, no service starts, and no root is needed. The digests are pinned by
# Debian's signed index, which apt checks; the release decides which versions those are. Sourced by tools.sh.

debian_has() {
  [[ $(apt-cache policy "$1" 2>/dev/null) == *"Candidate: "[0-9]* ]]
}

refresh_package_lists() {
  [ "$(id -u)" = 0 ] || die "apt knows no packages: run 'apt-get update' as root once, then this again"
  say "$1: refreshing the package lists (apt-get update)"
  apt-get update --quiet=2
}

# fetch_debian PACKAGE COMMAND=PATH...: commands of a Debian package. Its digest is pinned by Debian's signed index, which apt checks: the
# release decides which version that is. It is unpacked into .tools/bin, not installed: no service starts, and no root is needed.
fetch_debian() {
  local package=$1 command
  shift
  say "$package: downloading Debian's package"
  (cd "$SCRATCH" && apt-get download --quiet=2 -o "APT::Sandbox::User=$(id -un)" "$package")
  dpkg -x "$SCRATCH/$package"_*.deb "$SCRATCH/package"
  for command in "$@"; do mv -f "$SCRATCH/package/usr/bin/${command#*=}" "$BIN/${command%%=*}"; done
}

install_debian() {
  local package=$1 first=${2%%=*}
  if "$BIN/$first" --version >/dev/null 2>&1; then
    say "$first: there"
    return
  fi
  need apt-get "put $first on PATH of .tools/bin"
  debian_has "$package" || refresh_package_lists "$first"
  debian_has "$package" || die "apt knows no package '$package'"
  in_scratch fetch_debian "$@"
  "$BIN/$first" --version >/dev/null 2>&1 || die "$first was unpacked, but does not run"
  say "$first: installed at .tools/bin/$first"
}

# libraries_of PACKAGE: the packages of the libraries that it loads. The C library and the compiler's are the machine's own.
libraries_of() {
  local -a plain=(--no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances --no-pre-depends)
  local -a direct
  mapfile -t direct < <(apt-cache depends "${plain[@]}" "$1" | sed -n 's/^ *|\{0,1\}Depends: \(lib[^ ]*\|zlib1g\)$/\1/p')
  apt-cache depends --recurse "${plain[@]}" "${direct[@]}" | grep -E '^(lib|zlib1g)' | grep -vxE 'libc6|libgcc-s1' | sort -u
}

# fetch_tree TOOL PROGRAM PACKAGE...: the packages, and the libraries of the first, below $SCRATCH/tree, with a command that finds them
# there. apt names each package as it comes.
fetch_tree() {
  local tool=$1 program=$2 package
  local -a libraries
  shift 2
  mapfile -t libraries < <(libraries_of "$1")
  say "$tool: downloading Debian's packages $*, and ${#libraries[@]} of libraries"
  (cd "$SCRATCH" && apt-get download --quiet=1 -o "APT::Sandbox::User=$(id -un)" "$@" "${libraries[@]}" >&2)
  say "$tool: unpacking"
  for package in "$SCRATCH"/*.deb; do dpkg -x "$package" "$SCRATCH/tree"; done
  rm -rf "$SCRATCH/tree/usr/share/doc" "$SCRATCH/tree/usr/share/man"
  write_command "$program" >"$SCRATCH/tree/$tool"
  write_fonts >"$SCRATCH/tree/fonts.conf"
  chmod +x "$SCRATCH/tree/$tool"
  rm -rf "${TOOLS:?}/$tool"
  mv "$SCRATCH/tree" "$TOOLS/$tool"
}

# write_fonts: the fonts beside it, and which one stands in for those that are not there.
write_fonts() {
  cat <<'FONTS'
<fontconfig>
  <dir prefix="relative">usr/share/fonts</dir>
  <alias><family>monospace</family><prefer><family>Liberation Mono</family></prefer></alias>
  <alias><family>serif</family><prefer><family>Liberation Serif</family></prefer></alias>
  <match target="pattern"><edit name="family" mode="append_last"><string>Liberation Sans</string></edit></match>
</fontconfig>
FONTS
}

# write_command PROGRAM: a script that runs it with the libraries and the fonts beside the script.
write_command() {
  cat <<SCRIPT
#!/usr/bin/env bash
here=\$(cd "\$(dirname "\${BASH_SOURCE[0]}")" && pwd)
for folder in "\$here"/usr/lib/*-linux-gnu*/pulseaudio "\$here"/usr/lib/*-linux-gnu* "\$here"/lib/*-linux-gnu*; do
  LD_LIBRARY_PATH="\$folder\${LD_LIBRARY_PATH:+:\$LD_LIBRARY_PATH}"
done
export LD_LIBRARY_PATH FONTCONFIG_FILE="\$here/fonts.conf" XDG_CACHE_HOME="\$here/cache"
exec "\$here/$1" "\$@"
SCRIPT
}

# install_tree TOOL PROGRAM PACKAGE...: PROGRAM is its place in the first package.
install_tree() {
  local tool=$1
  # wrk has no option that only says its version, and ends with 1 after it.
  if [ -x "$TOOLS/$tool/$tool" ] && [[ $("$TOOLS/$tool/$tool" --version 2>/dev/null) == *[0-9].[0-9]* ]]; then
    say "$tool: there"
    return
  fi
  need apt-get "unpack $3 and its libraries into .tools/$tool"
  debian_has "$3" || refresh_package_lists "$tool"
  debian_has "$3" || die "apt knows no package '$3'"
  in_scratch fetch_tree "$@"
  [[ $("$TOOLS/$tool/$tool" --version 2>/dev/null) == *[0-9].[0-9]* ]] || die "$3 was unpacked, but does not run"
  say "$tool: installed at .tools/$tool/$tool"
}
