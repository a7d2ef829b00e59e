#!/usr/bin/env bash
# Installs on Debian the real servers that the tests and benchmarks talk to. Idempotent, and quick when nothing is missing.
#
# One line per peer: the program that shows it is there, the packages that bring it, and the suite they come from
# (`-` is the machine's own release, `backports` is <release>-backports).
set -euo pipefail

PEERS=(
  "redis-server      redis-server,redis-tools     -"
  "redis-benchmark   redis-tools                  -"
  "valkey-server     valkey-server,valkey-tools   backports"
  "mariadbd          mariadb-server               -"
  "pg_ctlcluster     postgresql                   -"
  "etcd              etcd-server                  -"
)

missing() {
  local program packages suite
  for line in "${PEERS[@]}"; do
    read -r program packages suite <<<"$line"
    command -v "$program" >/dev/null || printf '%s %s\n' "${packages//,/ }" "$suite"
  done
}

if [ -z "$(missing)" ]; then
  echo "peers: all installed"
  exit 0
fi

if [ ! -r /etc/os-release ] || ! grep -q '^ID=debian' /etc/os-release; then
  echo "peers: this script knows Debian; install by hand the programs named in it" >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "peers: run as root, or install sudo" >&2; exit 1; }
  as_root=(sudo)
fi
codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
derived=/etc/apt/sources.list.d/keyferry-backports

source_files() { find /etc/apt/sources.list /etc/apt/sources.list.d -type f \( -name '*.list' -o -name '*.sources' \) 2>/dev/null; }

# deb822 paragraphs that serve this release become paragraphs that serve its backports; others (security, updates) are dropped.
derive_deb822() {
  awk -v suite="$codename" '
    function flush_paragraph() {
      if (is_ours && is_binary && !is_off) printf "%s\n", paragraph
      paragraph = ""; is_ours = 0; is_binary = 0; is_off = 0
    }
    /^[ \t]*$/ { flush_paragraph(); next }
    /^#/ { next }
    tolower($1) == "types:" { for (i = 2; i <= NF; i++) if ($i == "deb") is_binary = 1; paragraph = paragraph "Types: deb\n"; next }
    tolower($1) == "enabled:" && tolower($2) == "no" { is_off = 1 }
    tolower($1) == "suites:" {
      for (i = 2; i <= NF; i++) if ($i == suite) is_ours = 1
      paragraph = paragraph "Suites: " suite "-backports\n"; next
    }
    { paragraph = paragraph $0 "\n" }
    END { flush_paragraph() }' "$@"
}

# deb [options] address suite component ...
derive_one_line() {
  awk -v suite="$codename" '
    $1 == "deb" { for (i = 2; i <= NF; i++) if ($i == suite) { $i = suite "-backports"; print; break } }' "$@"
}

ensure_backports() {
  if grep -qsE "^[^#]*\b${codename}-backports\b" $(source_files); then return; fi
  local lists sources text
  lists=$(source_files | grep '\.list$' || true)
  sources=$(source_files | grep '\.sources$' || true)
  text=""
  [ -z "$sources" ] || text=$(derive_deb822 $sources)
  if [ -n "$text" ]; then
    printf '%s\n' "$text" | "${as_root[@]}" tee "$derived.sources" >/dev/null
    return
  fi
  [ -z "$lists" ] || text=$(derive_one_line $lists)
  [ -n "$text" ] || { echo "peers: no apt source for $codename found to derive backports from" >&2; exit 1; }
  printf '%s\n' "$text" | "${as_root[@]}" tee "$derived.list" >/dev/null
}

# Debian starts a server when its package is installed. The tests start their own, so ask it not to, unless the machine
# already has a policy of its own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
  "${as_root[@]}" chmod 755 "$policy"
  trap '"${as_root[@]}" rm -f "$policy"' EXIT
fi

own=() backports=()
while read -r line; do
  read -r -a words <<<"$line"
  suite=${words[-1]}
  unset 'words[-1]'
  if [ "$suite" = backports ]; then backports+=("${words[@]}"); else own+=("${words[@]}"); fi
done < <(missing)

[ ${#backports[@]} -eq 0 ] || ensure_backports
"${as_root[@]}" apt-get update -q
export DEBIAN_FRONTEND=noninteractive
[ ${#own[@]} -eq 0 ] || "${as_root[@]}" apt-get install -qy --no-install-recommends "${own[@]}"
[ ${#backports[@]} -eq 0 ] || "${as_root[@]}" apt-get install -qy --no-install-recommends -t "$codename-backports" "${backports[@]}"

if [ -n "$(missing)" ]; then
  echo "peers: still missing: $(missing | tr '\n' ';')" >&2
  exit 1
fi
echo "peers: all installed"
