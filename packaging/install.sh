#!/bin/sh
# Installs the Daywatch agent on this host, or upgrades or removes it.
#
#   curl -fsS URL/install.sh | sudo DAYWATCH_KEY=… sh -s -- --url URL [--name NAME]
#   curl -fsS URL/install.sh | sudo sh -s -- --uninstall
#
#   --url URL       the server's HTTP URL; asked for again only where it changes
#   --name NAME     the agent's name; the host's name where none is given
#   --no-service    no systemd service; says how to run the agent instead
#   --uninstall     stops the agent and removes all of it, the buffer too
#
# The key is taken from DAYWATCH_KEY alone, never from the command line. A second run changes what
# is out of date and keeps configuration, key and buffer. The last line is
# "connected as NAME, first sample stored", or it is the reason why not and the status is not 0.
set -u
umask 022

PROGRAM=/usr/bin/daywatch-agent
ETC=/etc/daywatch
CONFIG=$ETC/agent.toml
KEY_FILE=$ETC/agent.key
DATA=/var/lib/daywatch
UNIT=/etc/systemd/system/daywatch-agent.service
ACCOUNT=daywatch
# In the account's comment: only an account with it is removed again.
ACCOUNT_MARK='Daywatch agent'
# The status of `daywatch-agent connect` where the server refuses this agent.
REFUSED=3

say() { printf '%s\n' "$*"; }
die() {
  printf 'install.sh: %s\n' "$*" >&2
  exit 1
}
has() { command -v "$1" >/dev/null 2>&1; }

usage() {
  say "usage: install.sh --url URL [--name NAME] [--no-service] | --uninstall"
  say "The key of the agent is taken from the environment: DAYWATCH_KEY=…"
}

# --- what is asked for ---------------------------------------------------------------------------

url='' name='' uninstall=false service=true

read_arguments() {
  while [ $# -gt 0 ]; do
    case $1 in
      --url | --name)
        [ $# -ge 2 ] || die "$1 needs a value"
        if [ "$1" = --url ]; then url=$2; else name=$2; fi
        shift
        ;;
      --url=*) url=${1#*=} ;;
      --name=*) name=${1#*=} ;;
      --no-service) service=false ;;
      --uninstall) uninstall=true ;;
      -h | --help)
        usage
        exit 0
        ;;
      *dw_agent_*) die "a key does not belong on the command line, where every user sees it: DAYWATCH_KEY=…" ;;
      *) die "unknown argument \"$1\". $(usage)" ;;
    esac
    shift
  done
}

check_arguments() {
  while [ "$url" != "${url%/}" ]; do url=${url%/}; done
  # What stands in the configuration of an installed agent need not be said again.
  [ -n "$url" ] || url=$(configured url)
  [ -n "$url" ] || die "--url is missing: the address of your Daywatch, such as --url https://daywatch.example.org"
  case $url in
    *[!A-Za-z0-9._~:/?#@!\&\(\)*+,\;=%-]* | *'['*) die "--url \"$url\" holds characters that no address has" ;;
    http://?* | https://?*) ;;
    *) die "--url \"$url\" does not start with http:// or https://" ;;
  esac
  case $name in
    *[!A-Za-z0-9._:@+-]*) die "--name \"$name\": take letters, digits and . _ : @ + -" ;;
  esac
  [ ${#name} -le 128 ] || die "--name has ${#name} characters, at most 128 are allowed"
  key=${DAYWATCH_KEY:-}
  # From here on no program that is started sees it.
  unset DAYWATCH_KEY DAYWATCH_URL DAYWATCH_DATA_DIR
  case $key in
    '') [ -s "$KEY_FILE" ] || die "DAYWATCH_KEY is missing: an agent key, made by \`daywatch keys create --kind agent\`; with sudo: sudo DAYWATCH_KEY=… sh …" ;;
    *[!A-Za-z0-9_]*) die "DAYWATCH_KEY is no Daywatch key: it holds other characters than letters, digits and _" ;;
    dw_agent_*_*) ;;
    dw_*) die "DAYWATCH_KEY is not an agent's key: make one by \`daywatch keys create --kind agent\`" ;;
    *) die "DAYWATCH_KEY is no Daywatch key: those of agents start with dw_agent_" ;;
  esac
}

# configured KEY: its value at the top of the installed configuration.
configured() {
  [ -r "$CONFIG" ] || return 0
  sed -n '/^[[:space:]]*\[/q; s/^[[:space:]]*'"$1"'[[:space:]]*=[[:space:]]*"\([^"]*\)".*/\1/p' "$CONFIG" | head -n 1
}

# --- what this host is -----------------------------------------------------------------------------

check_host() {
  [ "$(uname -s)" = Linux ] || die "this is $(uname -s); the agent runs on Linux"
  case $(uname -m) in
    x86_64 | amd64) arch=x86_64 loader=/lib64/ld-linux-x86-64.so.2 ;;
    aarch64 | arm64) arch=aarch64 loader=/lib/ld-linux-aarch64.so.1 ;;
    *) die "there is no agent for $(uname -m), only for x86_64 and aarch64; such a host can send to /graphite by itself" ;;
  esac
  [ -e "$loader" ] || die "this host has no glibc ($loader is missing; Alpine and other musl systems are not supported)"
  for tool in sed grep head mktemp install id; do
    has "$tool" || die "$tool is missing on this host: install it (package coreutils, sed or grep)"
  done
  has curl || has wget || die "neither curl nor wget is on this host: install one of them"
  has sha256sum || has shasum || has openssl || die "none of sha256sum, shasum and openssl is on this host: install one of them to verify the download"
  has useradd || has adduser || die "neither useradd nor adduser is on this host: install the package that brings one (passwd, shadow-utils)"
  if has dpkg-query && [ "$(dpkg-query -W -f '${db:Status-Status}' daywatch-agent 2>/dev/null)" = installed ]; then
    die "daywatch-agent is installed here as a package: upgrade it by apt, or remove it first (apt remove daywatch-agent)"
  fi
  if $service && ! systemd_runs; then
    die "systemd does not run here (a container, a chroot, another init): run this again with --no-service at the end, and let your own supervisor run the agent"
  fi
}

systemd_runs() { [ -d /run/systemd/system ] && has systemctl; }

# --- fetching ---------------------------------------------------------------------------------------

# fetch ADDRESS FILE: the body; where that fails, `why` says why.
fetch() {
  why='' status=0
  if has curl; then
    code=$(curl -sS -L --connect-timeout 10 --speed-limit 1 --speed-time 30 -o "$2" -w '%{http_code}' "$1" 2>"$folder/said") || status=$?
    if [ $status = 0 ] && [ "$code" != 200 ]; then why="status $code$(told "$2")"; fi
  elif wget --version 2>/dev/null | grep -q GNU; then
    wget -nv -T 20 -t 2 --content-on-error -O "$2" "$1" >/dev/null 2>"$folder/said" || status=$?
    if [ $status = 8 ]; then why="$(sed -n 's/.*ERROR \([0-9]*\).*/status \1/p' "$folder/said" | head -n 1)$(told "$2")"; fi
  else
    wget -T 20 -O "$2" "$1" >/dev/null 2>"$folder/said" || status=$?
  fi
  [ -n "$why" ] || [ $status = 0 ] || why=$(grep -v '^[[:space:]]*$' "$folder/said" | tail -n 1)
  [ -n "$why" ] || [ $status = 0 ] || why="status $status of curl or wget"
  [ -z "$why" ]
}

# What a server says of an error: its text, where it is one of Daywatch's.
told() { sed -n 's/.*"error":"\(.*\)".*/: \1/p' "$1" 2>/dev/null | head -c 400; }

check_server() {
  fetch "$url/api/v1/endpoints" "$folder/endpoints" || case $why in
    status*) die "something answers at $url, but it is no Daywatch ($why): check --url" ;;
    *certificate* | *SSL* | *TLS*) die "$url is not trusted: $why. Install this host's certificates (package ca-certificates), or add your own authority to them" ;;
    *) die "nothing answers at $url: $why. Check --url, the network and firewalls; behind a proxy set https_proxy" ;;
  esac
  grep -q '"websocket"' "$folder/endpoints" || die "something answers at $url, but it is no Daywatch: check --url"
}

checksum() {
  if has sha256sum; then
    sha256sum <"$1"
  elif has shasum; then
    shasum -a 256 <"$1"
  else
    openssl dgst -sha256 -r <"$1"
  fi | sed 's/[^0-9a-f].*//'
}

# The program in `fresh`, verified; empty where the installed one is this very one.
fetch_program() {
  from=$url/download/daywatch-agent-linux-$arch fresh=''
  fetch "$from.sha256" "$folder/sum" || die "the checksum of the agent cannot be fetched from $from.sha256: $why"
  wanted=$(sed 's/[^0-9a-f].*//' "$folder/sum" | head -n 1)
  [ ${#wanted} = 64 ] || die "$from.sha256 holds no SHA-256 checksum"
  if [ -x "$PROGRAM" ] && [ "$(checksum "$PROGRAM")" = "$wanted" ]; then return 0; fi
  fetch "$from" "$folder/daywatch-agent" || die "the agent cannot be fetched from $from: $why"
  got=$(checksum "$folder/daywatch-agent")
  [ "$got" = "$wanted" ] || die "the download does not match its checksum (it is $got, it should be $wanted): something on the way changed or cut it; try again, and do not run it if that goes on"
  # Beside where it will be: a temporary folder may be mounted without exec.
  fresh=$PROGRAM.new
  install -m 0755 "$folder/daywatch-agent" "$fresh" || die "$fresh cannot be written"
  "$fresh" --version >/dev/null 2>"$folder/said" || {
    rm -f "$fresh"
    die "the agent does not run on this host: $(head -n 1 "$folder/said"). It needs glibc 2.17 or newer if built by \`make agent-packages\`"
  }
}

# --- account and files -----------------------------------------------------------------------------

add_account() {
  id "$ACCOUNT" >/dev/null 2>&1 && return 0
  if has useradd; then
    useradd --system --user-group --no-create-home --home-dir "$DATA" --shell /usr/sbin/nologin \
      --comment "$ACCOUNT_MARK" "$ACCOUNT" || die "the account $ACCOUNT cannot be made"
  else
    adduser -S -D -H -h "$DATA" -s /sbin/nologin -g "$ACCOUNT_MARK" "$ACCOUNT" || die "the account $ACCOUNT cannot be made"
  fi
  # Debian's log files belong to this group.
  if grep -q '^adm:' /etc/group && has usermod; then usermod -a -G adm "$ACCOUNT"; fi
}

# write SOURCE FILE MODE GROUP: at once or not at all; says in `changed` whether it was another one.
write() {
  if [ -e "$2" ] && [ "$(checksum "$1")" = "$(checksum "$2")" ]; then return 0; fi
  if install -m "$3" -o root -g "$4" "$1" "$2.new" && mv -f "$2.new" "$2"; then
    changed=true
  else
    rm -f "$2.new"
    die "$2 cannot be written"
  fi
}

unit() {
  cat <<'UNIT'
@@daywatch-agent.service@@
UNIT
}

fresh_config() {
  cat <<'TOML'
@@agent.toml@@
TOML
}

# set_line KEY VALUE: standard input with that key at the top set; a commented one is its place. An
# empty value changes nothing.
set_line() {
  if [ -z "$2" ]; then
    cat
    return
  fi
  sed '/^[[:space:]]*\[/,$!{
    s|^#\{0,1\}[[:space:]]*'"$1"'[[:space:]]*=.*|'"$1"' = "'"$(printf '%s' "$2" | sed 's/[&|\\]/\\&/g')"'"|
  }'
}

write_files() {
  if ! { install -d -m 0750 -g "$ACCOUNT" "$ETC" && install -d -m 0750 -o "$ACCOUNT" -g "$ACCOUNT" "$DATA"; }; then
    die "$ETC and $DATA cannot be made"
  fi
  if [ -n "$fresh" ]; then
    mv -f "$fresh" "$PROGRAM" || die "$PROGRAM cannot be written"
    changed=true
  fi
  if [ ! -e "$CONFIG" ]; then
    fresh_config | set_line url "$url" | set_line proxy "$(proxy)" >"$folder/config"
    write "$folder/config" "$CONFIG" 0640 "$ACCOUNT"
  elif [ "$(configured url)" != "$url" ]; then
    say "the server's address in $CONFIG was $(configured url)"
    change_line url "$url"
  fi
  [ -z "$name" ] || [ "$(configured name)" = "$name" ] || change_line name "$name"
  if [ -n "$key" ]; then
    (umask 077 && printf '%s\n' "$key" >"$folder/key")
    write "$folder/key" "$KEY_FILE" 0640 "$ACCOUNT"
  fi
  if $service; then
    unit >"$folder/unit"
    write "$folder/unit" "$UNIT" 0644 root
  fi
}

# The proxy that this script was run with: the service has another environment. Not for this host.
proxy() {
  case $url in
    *://127.* | *://localhost | *://localhost[:/]*) ;;
    https:*) printf '%s' "${https_proxy:-${HTTPS_PROXY:-}}" ;;
    *) printf '%s' "${http_proxy:-}" ;;
  esac | tr -d '"'
}

change_line() {
  set_line "$1" "$2" <"$CONFIG" >"$folder/config"
  write "$folder/config" "$CONFIG" 0640 "$ACCOUNT"
  [ "$(configured "$1")" = "$2" ] || die "$CONFIG has no line \`$1 = …\` at its top: write it there and run this again"
}

# --- running it -----------------------------------------------------------------------------------

as_account() {
  if has runuser; then
    runuser -u "$ACCOUNT" -- "$@"
  elif has setpriv; then
    setpriv --reuid "$ACCOUNT" --regid "$ACCOUNT" --init-groups "$@"
  else
    su -s /bin/sh "$ACCOUNT" -c "$*"
  fi
}

# A short real run of the agent as its account: one collection, sent and acknowledged. Where the
# agent runs already, it looks at that one.
connect() { (cd / && as_account "$PROGRAM" --config "$CONFIG" connect 2>"$folder/said"); }

active() { systemd_runs && systemctl is-active --quiet daywatch-agent; }

install_it() {
  changed=false
  add_account
  # A running agent keeps its own file open, but not its configuration.
  if [ -n "$fresh" ] && active; then systemctl stop daywatch-agent; fi
  write_files
  if ! $service; then
    finish_without_service
    return
  fi
  systemctl daemon-reload
  if ! $changed && active; then
    say "nothing was out of date; the agent runs"
  else
    if active; then systemctl stop daywatch-agent; fi
    outcome=0
    first=$(connect) || outcome=$?
    if [ $outcome = $REFUSED ] && ! $upgrade; then
      not_connected "It is installed but not started: put this right and run this again, or remove it with --uninstall"
    fi
    if ! { systemctl enable --quiet daywatch-agent && systemctl restart daywatch-agent; }; then
      not_connected "The service cannot be started: systemctl status daywatch-agent"
    fi
    [ $outcome = 0 ] || not_connected "The service runs, keeps what it collects in its buffer and goes on trying"
  fi
  first=$(connect) || not_connected "See: journalctl -u daywatch-agent"
  say "$first"
}

not_connected() {
  sed -n 's/^daywatch-agent: //p' "$folder/said" >&2
  printf '%s\n' "$*" >&2
  exit 1
}

finish_without_service() {
  say "installed without a service; your supervisor runs it, as $ACCOUNT, by:"
  say "  $PROGRAM --config $CONFIG"
  first=$(connect) || not_connected "It is installed: put this right and run this again, or remove it with --uninstall"
  say "$first"
}

# --- removing it -----------------------------------------------------------------------------------

# Agents of this very program, whoever started them.
running() {
  for process in /proc/[0-9]*; do
    case $(readlink "$process/exe" 2>/dev/null) in "$PROGRAM" | "$PROGRAM (deleted)") say "${process#/proc/}" ;; esac
  done
}

uninstall() {
  if has dpkg-query && [ "$(dpkg-query -W -f '${db:Status-Status}' daywatch-agent 2>/dev/null)" = installed ]; then
    die "daywatch-agent is installed here as a package: apt purge daywatch-agent"
  fi
  if systemd_runs && [ -e "$UNIT" ]; then systemctl disable --quiet --now daywatch-agent; fi
  for process in $(running); do kill -TERM "$process" 2>/dev/null; done
  waited=0
  while [ -n "$(running)" ]; do
    [ $waited -lt 20 ] || { for process in $(running); do kill -KILL "$process" 2>/dev/null; done; }
    waited=$((waited + 1))
    sleep 1
  done
  # Without a service manager the link of `enable` may stand alone.
  rm -f "$UNIT" /etc/systemd/system/multi-user.target.wants/daywatch-agent.service "$PROGRAM" "$PROGRAM.new"
  rm -rf "$UNIT.d" "$ETC" "$DATA"
  if systemd_runs; then
    systemctl daemon-reload
    systemctl reset-failed daywatch-agent 2>/dev/null
  fi
  remove_account
  say "the agent is removed; what it has sent stays on the server"
}

remove_account() {
  case $(grep "^$ACCOUNT:" /etc/passwd) in
    *":$ACCOUNT_MARK:"*) ;;
    *) return 0 ;;
  esac
  if has userdel; then userdel "$ACCOUNT"; else deluser "$ACCOUNT"; fi || die "the account $ACCOUNT cannot be removed; all else is"
  if grep -q "^$ACCOUNT:" /etc/group && has groupdel; then groupdel "$ACCOUNT"; fi
}

# The last line of this file: what arrives cut off does nothing.
main() {
  read_arguments "$@"
  [ "$(id -u)" = 0 ] || die "only root can install it: curl … | sudo DAYWATCH_KEY=… sh -s -- …"
  if $uninstall; then
    uninstall
    exit 0
  fi
  check_arguments
  check_host
  folder=$(mktemp -d) || die "no temporary folder can be made"
  trap 'rm -rf "$folder" "$PROGRAM.new"' EXIT
  trap 'exit 1' HUP INT TERM
  check_server
  fetch_program
  upgrade=false
  if [ -e "$UNIT" ] && [ -e "$CONFIG" ]; then upgrade=true; fi
  install_it
}

main "$@"
